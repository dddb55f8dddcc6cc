//! What selectors match, how they print, and what is said of those that are none.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::*;

fn selector(text: &str) -> Selector {
    match text.parse() {
        Ok(selector) => selector,
        Err(error) => panic!("{text}: {error}"),
    }
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect()
}

#[test]
fn every_form_matches_what_it_says() {
    let node = labels(&[
        ("rack", "r12"),
        ("kubernetes.io/os", "linux"),
        ("empty", ""),
    ]);
    let table = [
        ("", true),
        ("  ", true),
        ("all()", true),
        ("global()", true),
        ("!all()", false),
        ("has(rack)", true),
        ("has( kubernetes.io/os )", true),
        ("has(empty)", true),
        ("has(row)", false),
        ("!has(row)", true),
        ("rack == 'r12'", true),
        ("rack==\"r12\"", true),
        ("rack == 'r1'", false),
        ("row == ''", false),
        ("empty == ''", true),
        ("rack != 'r1'", true),
        ("rack != 'r12'", false),
        ("row != 'r1'", true),
        ("rack in {'r11', \"r12\"}", true),
        ("rack in{'r11',}", false),
        ("rack in {}", false),
        ("row in {''}", false),
        ("rack not in {'r11'}", true),
        ("rack not  in {'r12'}", false),
        ("row not in {'r12'}", true),
        ("rack contains '1'", true),
        ("rack contains '3'", false),
        ("row contains ''", false),
        ("rack starts with 'r'", true),
        ("rack starts with '1'", false),
        ("row starts with ''", false),
        ("rack ends with '12'", true),
        ("rack ends with 'r'", false),
        ("row ends with ''", false),
        ("has(rack) && has(row)", false),
        ("has(rack) || has(row)", true),
        ("has(row) && has(row) || has(rack)", true),
        ("has(rack) || has(row) && has(row)", true),
        ("(has(rack) || has(row)) && has(row)", false),
        ("!(has(row) || has(col))", true),
        ("!has(row) && !has(col)", true),
        ("!!has(rack)", true),
        ("! rack == 'r12'", false),
        (" ( ( all( ) ) ) ", true),
        // Words of the grammar are labels, too.
        ("in == 'x' || not == 'x' || has == 'x'", false),
        ("all != 'x'", true),
    ];
    for (text, expected) in table {
        assert_eq!(selector(text).matches(&node), expected, "{text}");
    }
}

#[test]
fn selectors_print_as_they_are_written_best() {
    let table = [
        ("", "all()"),
        ("a=='b'&&!has(c)", "a == \"b\" && !has(c)"),
        (
            "(a=='b')||c in {'d',\"e\"}",
            "a == \"b\" || c in {\"d\", \"e\"}",
        ),
        ("!a != '\"'", "!(a != '\"')"),
        (
            "(a == '1' && b == '2') && c not in {}",
            "(a == \"1\" && b == \"2\") && c not in {}",
        ),
        (
            "a starts with 'b' || (c contains 'd' && e ends with 'f')",
            "a starts with \"b\" || (c contains \"d\" && e ends with \"f\")",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(selector(text).to_string(), expected, "{text}");
    }
}

#[test]
fn the_words_for_what_is_no_selector() {
    let long = "x".repeat(100);
    let texts = [
        "a",
        "a b",
        "a =",
        "a = 'b'",
        "a == b",
        "a == 'b",
        "a == \"é\" && c == \"",
        "a in 'b'",
        "a in {b}",
        "a in {'b' 'c'}",
        "a in {'b',",
        "a not 'b'",
        "a not inside {'b'}",
        "a starts 'b'",
        "a ends",
        "has()",
        "has(a",
        "has(a b)",
        "all(a)",
        "any()",
        "all() &",
        "all() && ",
        "all() || && all()",
        "all() all()",
        "(all()",
        "all())",
        "!",
        "&& all()",
        "é == 'b'",
        &long,
    ];
    let lines = texts.map(|text| match text.parse::<Selector>() {
        Ok(selector) => panic!("{text} is read as {selector}"),
        Err(error) => format!("{text}\n    {error}\n"),
    });
    insta::assert_snapshot!(lines.concat());
}

#[test]
fn depth_and_length_are_bounded() {
    let deep = |depth| format!("{}all(){}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(selector(&deep(SELECTOR_DEPTH_MAX)), Selector::ALL);
    let column = SELECTOR_DEPTH_MAX + 2;
    let too_deep = Err(SelectorError::TooDeep { column });
    assert_eq!(deep(SELECTOR_DEPTH_MAX + 1).parse::<Selector>(), too_deep);
    let not = format!("{}all()", "!".repeat(SELECTOR_DEPTH_MAX + 1));
    assert_eq!(not.parse::<Selector>(), too_deep);
    // What stands side by side is not nested.
    let wide = vec!["(!has(a))"; SELECTOR_DEPTH_MAX * 2].join("&&");
    assert!(selector(&wide).matches(&labels(&[])));
    let bytes = SELECTOR_BYTES_MAX + 1;
    let too_long = Err(SelectorError::TooLong { bytes });
    assert_eq!(" ".repeat(bytes).parse::<Selector>(), too_long);
}

fn key() -> impl Strategy<Value = String> {
    "[a-c_./-]{1,3}|in|not|has|all|global|starts|with"
}

fn value() -> impl Strategy<Value = String> {
    // Anything without one of the two quotes.
    prop_oneof!["[ab]{0,2}", "[^\"]{0,5}", "[^']{0,5}"]
}

fn expression() -> impl Strategy<Value = Expression> {
    let test = prop_oneof![
        value().prop_map(Test::Equal),
        value().prop_map(Test::NotEqual),
        btree_set(value(), 0..3).prop_map(Test::In),
        btree_set(value(), 0..3).prop_map(Test::NotIn),
        value().prop_map(Test::Contains),
        value().prop_map(Test::StartsWith),
        value().prop_map(Test::EndsWith),
    ];
    let leaf = prop_oneof![
        Just(Expression::All),
        Just(Expression::Global),
        key().prop_map(Expression::Has),
        (key(), test).prop_map(|(key, test)| Expression::Label(key, test)),
    ];
    leaf.prop_recursive(6, 24, 3, |inner| {
        prop_oneof![
            inner
                .clone()
                .prop_map(|inner| Expression::Not(Box::new(inner))),
            vec(inner.clone(), 2..4).prop_map(Expression::And),
            vec(inner, 2..4).prop_map(Expression::Or),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_reads_as_the_same(expression in expression()) {
        let selector = Selector(expression);
        prop_assert_eq!(selector.to_string().parse(), Ok(selector));
    }

    #[test]
    fn not_matches_what_is_not_matched(
        expression in expression(),
        labels in btree_map(key(), value(), 0..4),
    ) {
        let not = Selector(Expression::Not(Box::new(expression.clone())));
        prop_assert_ne!(not.matches(&labels), Selector(expression).matches(&labels));
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = text.parse::<Selector>();
    }

    #[test]
    fn no_text_of_the_right_words_panics(
        words in vec(prop_oneof![
            "all|has|global|in|not|starts|ends|with|contains|k",
            "[(){},!'\"]|==|!=|&&|\\|\\|| ",
        ], 0..30),
    ) {
        let text = words.concat();
        match text.parse::<Selector>() {
            Ok(selector) => prop_assert_eq!(selector.to_string().parse(), Ok(selector)),
            Err(error) => prop_assert!(!error.to_string().contains('\n')),
        }
    }
}
