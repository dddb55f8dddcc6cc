//! The API server's refusals and the client's errors in words for the operator.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use ::kube::Error;
use ::kube::core::Status;

/// What is wrong with a list or a watch.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The list failed.
    List(Error),
    /// The watch did not start, or broke off.
    Watch(Error),
    /// There was no answer for this long.
    NoAnswer(Duration),
    /// The history was gone before it could be followed, and not for the first time.
    Expired,
    /// The list did not say which version of the cluster it shows.
    NoVersion,
}

/// Whether the server cannot continue from the version that was asked for: list again. Either its
/// history begins later (410), or it ends earlier: then etcd was restored from a backup, and only
/// the message says so.
pub(super) fn is_expired(error: &Error) -> bool {
    matches!(
        error,
        Error::Api(status)
            if status.code == 410 || status.message.contains("Too large resource version")
    )
}

/// Whether the server serves no such kind.
pub(super) fn is_absent(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404)
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(error) => write!(f, "cannot list: {}", Words(error)),
            Self::Watch(error) => write!(f, "cannot watch: {}", Words(error)),
            Self::NoAnswer(limit) => write!(f, "no answer from the API server in {limit:?}"),
            Self::Expired => f.write_str("the API server keeps too little history to follow"),
            Self::NoVersion => f.write_str("cannot list: the answer has no resourceVersion"),
        }
    }
}

/// An error with its causes, and with what to do where that is plain.
struct Words<'a>(&'a Error);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Error::Api(status) = self.0 {
            return write_status(f, status);
        }
        // The top level only names the layer of the client that met the error.
        let mut cause = self.0.source();
        if cause.is_none() {
            return write!(f, "{}", self.0);
        }
        let mut last = String::new();
        while let Some(error) = cause {
            let text = error.to_string();
            // Wrappers repeat what they wrap.
            if !last.contains(&text) {
                let separator = if last.is_empty() { "" } else { ": " };
                write!(f, "{separator}{text}")?;
                last = text;
            }
            cause = error.source();
        }
        Ok(())
    }
}

fn write_status(f: &mut fmt::Formatter<'_>, status: &Status) -> fmt::Result {
    let message = if status.message.is_empty() {
        &status.reason
    } else {
        &status.message
    };
    write!(f, "{message} ({})", status.code)?;
    match status.code {
        401 => f.write_str("; check the token or certificate the agent was given"),
        403 => f.write_str("; bind the agent's service account to a role that may"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api_error(code: u16, message: &str) -> Error {
        Error::Api(Status::failure(message, "Because").with_code(code).boxed())
    }

    #[test]
    fn refusals_carry_the_servers_words_and_what_to_do() {
        let text = Trouble::List(api_error(403, "services is forbidden: nobody cannot list"));
        assert_eq!(
            text.to_string(),
            "cannot list: services is forbidden: nobody cannot list (403); bind the agent's \
             service account to a role that may"
        );
        let text = Trouble::Watch(api_error(401, ""));
        assert_eq!(
            text.to_string(),
            "cannot watch: Because (401); check the token or certificate the agent was given"
        );
    }

    #[test]
    fn causes_are_told_and_layers_of_the_client_are_not() {
        let io = std::io::Error::other("connection reset by peer");
        let text = Trouble::Watch(Error::ReadEvents(io));
        assert_eq!(text.to_string(), "cannot watch: connection reset by peer");
    }

    #[test]
    fn only_a_version_out_of_reach_asks_for_a_list() {
        assert!(is_expired(&api_error(410, "too old resource version")));
        let ahead = "Timeout: Too large resource version: 70, current: 20";
        assert!(is_expired(&api_error(504, ahead)));
        assert!(!is_expired(&api_error(
            504,
            "Timeout: request did not complete"
        )));
        assert!(!is_expired(&api_error(500, "etcd leader changed")));
    }
}
