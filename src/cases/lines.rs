//! In which line of a file its cases, Services, peers and learned routes are: [`super::scene`]
//! names them in errors.

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// Lines, from one.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    cases: Vec<CaseLines>,
    services: Vec<usize>,
    peers: Vec<usize>,
    learned: Vec<usize>,
}

#[derive(Clone, Debug)]
struct CaseLines {
    own: usize,
    expectations: Vec<usize>,
}

impl Lines {
    /// Of a text that has been read as a document; of any other there are none.
    pub(super) fn of(text: &str) -> Self {
        let Ok(document) = DeTable::parse(text) else {
            return Self::default();
        };
        let starts = LineStarts::of(text);
        let case = |case: &Spanned<DeValue<'_>>| CaseLines {
            own: starts.line(case.span().start),
            expectations: case
                .get_ref()
                .as_table()
                .map(|case| starts.lines(array(case, "expect")))
                .unwrap_or_default(),
        };
        Self {
            cases: array(document.get_ref(), "cases")
                .into_iter()
                .flatten()
                .map(case)
                .collect(),
            services: starts.lines(array(document.get_ref(), "services")),
            peers: starts.lines(array(document.get_ref(), "peers")),
            learned: starts.lines(array(document.get_ref(), "learned")),
        }
    }

    /// Of a case.
    pub(super) fn case(&self, case: usize) -> usize {
        self.cases.get(case).map_or(1, |lines| lines.own)
    }

    /// Of one of a case's expectations.
    pub(super) fn expectation(&self, case: usize, expectation: usize) -> usize {
        let lines = self.cases.get(case);
        let line = lines.and_then(|lines| lines.expectations.get(expectation));
        line.copied().unwrap_or_else(|| self.case(case))
    }

    /// Of one of the file's Services.
    pub(super) fn service(&self, service: usize) -> usize {
        self.services.get(service).copied().unwrap_or(1)
    }

    /// Of one of the file's peers.
    pub(super) fn peer(&self, peer: usize) -> usize {
        self.peers.get(peer).copied().unwrap_or(1)
    }

    /// Of one of the file's learned routes.
    pub(super) fn learned(&self, route: usize) -> usize {
        self.learned.get(route).copied().unwrap_or(1)
    }
}

/// The line of an octet of a text.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    LineStarts::of(text).line(offset)
}

struct LineStarts(Vec<usize>);

impl LineStarts {
    fn of(text: &str) -> Self {
        let ends = text.match_indices('\n').map(|(end, _)| end + 1);
        Self(std::iter::once(0).chain(ends).collect())
    }

    fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }

    fn lines(&self, array: Option<&DeArray<'_>>) -> Vec<usize> {
        let elements = array.into_iter().flatten();
        elements
            .map(|element| self.line(element.span().start))
            .collect()
    }
}

fn array<'t>(table: &'t DeTable<'_>, key: &str) -> Option<&'t DeArray<'t>> {
    table.get(key)?.get_ref().as_array()
}
