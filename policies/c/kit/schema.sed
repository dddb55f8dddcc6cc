# Makes a text of settings.schema.json that C can include, line by line: the language cannot
# include a file as one.
s/[\\"]/\\&/g
s/.*/"&\\n"/
