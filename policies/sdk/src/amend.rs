//! Decisions of policies that change a route's attributes and have no opinion on the route.

use std::borrow::Cow;

use crate::{
    Acceptance, Candidate, Decision, ImportDecision, Installation, LearnedRoute, RouteAttributes,
};

/// The most communities of each kind that a route may carry, by contract.
pub const COMMUNITIES_MAX: usize = 64;

/// The most communities of each kind that a learned route may carry, by contract: more than a BGP
/// message has room for.
pub const LEARNED_COMMUNITIES_MAX: usize = 1024;

/// The most copies of our own AS number that may be prepended, by contract.
pub const PREPEND_MAX: u8 = 16;

impl Decision {
    /// Accept with these attributes; abstain where they are the proposed ones already.
    ///
    /// A route that would carry more communities than the contract allows is rejected: its marks
    /// may be what keeps it in bounds, so none of them may be lost, and an answer that breaks
    /// the contract would stop the whole policy.
    #[must_use]
    pub fn amend(
        candidate: &Candidate<'_>,
        attributes: RouteAttributes,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        let most = attributes
            .communities
            .len()
            .max(attributes.large_communities.len())
            .max(attributes.extended_communities.len());
        if most > COMMUNITIES_MAX {
            Self::reject("with what this policy adds, the route has more than 64 communities")
        } else if attributes == *candidate.attributes {
            Self::abstain().because(reason)
        } else {
            Self::accept_with(attributes).because(reason)
        }
    }
}

impl ImportDecision {
    /// Accept with these attributes, which are left out where they are the proposed ones already, and
    /// with this word on the kernel.
    ///
    /// A route that would carry more communities than the contract allows is rejected: marks may be
    /// what others filter by, and a route without them must not be used.
    #[must_use]
    pub fn amend(
        route: &LearnedRoute<'_>,
        attributes: RouteAttributes,
        installation: Option<Installation>,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        if attributes.communities.len() > LEARNED_COMMUNITIES_MAX
            || attributes.large_communities.len() > LEARNED_COMMUNITIES_MAX
        {
            return Self::reject("with what the rule adds it has too many communities");
        }
        Self::accept(Acceptance {
            attributes: (attributes != *route.attributes).then_some(attributes),
            installation,
        })
        .because(reason)
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        COMMUNITIES_MAX, Candidate, Context, Decision, Description, NoSettings, Policy,
        RouteAttributes, Verdict, testing,
    };

    /// Adds the community 7.
    struct Seven;

    impl Policy for Seven {
        type Settings = NoSettings;

        fn describe() -> Description {
            crate::description!("Adds 0:7")
        }

        fn new(NoSettings: NoSettings) -> Result<Self, String> {
            Ok(Self)
        }

        fn decide(&self, _context: &Context<'_>, candidate: &Candidate<'_>) -> Decision {
            let mut attributes = candidate.attributes.clone();
            crate::Community::Standard(7).add_to(&mut attributes);
            Decision::amend(candidate, attributes, "seven")
        }
    }

    fn decide(communities: Vec<u32>) -> Decision {
        let proposed = RouteAttributes {
            communities,
            ..RouteAttributes::default()
        };
        let batch = testing::batch().proposed(proposed).pod_cidr("10.1.0.0/24");
        batch.decide::<Seven>().unwrap().remove(0)
    }

    #[test]
    fn a_route_that_needs_no_change_is_left_to_the_others() {
        assert_eq!(decide(vec![7]), Decision::abstain().because("seven"));
        let Verdict::Accept(Some(changed)) = decide(vec![1]).verdict else {
            panic!("not changed");
        };
        assert_eq!(changed.communities, [1, 7]);
    }

    #[test]
    fn a_route_with_too_many_communities_is_not_announced() {
        let full = (100..).take(COMMUNITIES_MAX).collect();
        assert_eq!(decide(full).verdict, Verdict::Reject);
        let almost = (100..).take(COMMUNITIES_MAX - 1).collect();
        assert!(matches!(decide(almost).verdict, Verdict::Accept(Some(_))));
    }
}
