//! What the client makes of agents that are absent, mute, broken or of another version.

use std::future::pending;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;
use crate::api::Routes;

/// A client of a server that sends `answer` to the first request, then closes.
async fn asked(answer: impl AsRef<[u8]>) -> Result<Answer, ClientError> {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let read = stream.read(&mut [0; 4096]).await.unwrap();
        assert!(read > 0);
        stream.write_all(answer.as_ref()).await.unwrap();
    };
    let client = Client::new(socket);
    let (answer, ()) = tokio::join!(client.ask("/v1/routes", &[]), server);
    answer
}

/// A response of HTTP/1.1 with a body of this text.
fn response(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// The error with its causes, and the directory's own name left out.
fn message(error: ClientError) -> String {
    let text = format!("{:#}", anyhow::Error::from(error));
    let words: Vec<&str> = text
        .split(' ')
        .map(
            |word| match (word.contains("agent.sock"), word.ends_with(':')) {
                (true, true) => "SOCKET:",
                (true, false) => "SOCKET",
                (false, true | false) => word,
            },
        )
        .collect();
    words.join(" ")
}

#[tokio::test]
async fn without_a_socket_the_operator_is_asked_whether_it_runs() {
    let directory = TempDir::new().unwrap();
    let client = Client::new(directory.path().join("agent.sock"));
    let error = client.ask("/v1/status", &[]).await.unwrap_err();
    assert_eq!(
        message(error),
        "no agent listens at SOCKET: is rutter running on this node? \
         pass --socket if it listens elsewhere"
    );
}

#[tokio::test]
async fn a_socket_nobody_listens_at_was_left_behind() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("agent.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let error = Client::new(socket).ask("/v1/status", &[]).await;
    assert_eq!(
        message(error.unwrap_err()),
        "the agent that listened at SOCKET is gone: see its log, \
         or pass --socket if another listens elsewhere"
    );
}

#[test]
fn a_socket_of_another_user_says_whom_to_be() {
    // Root, as whom tests may run, is denied nothing: the system's error is made by hand.
    let error = io::Error::from(io::ErrorKind::PermissionDenied);
    assert_eq!(
        connect_error(Path::new("/agent.sock"), error).to_string(),
        "permission denied on /agent.sock: run as the agent's user, usually root"
    );
}

#[tokio::test]
async fn a_path_that_cannot_be_a_socket_is_told_with_its_cause() {
    let long = PathBuf::from("x".repeat(200) + "agent.sock");
    let error = Client::new(long).ask("/v1/status", &[]).await.unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }), "{error:?}");
    assert!(
        message(error).starts_with("cannot reach the agent at SOCKET: "),
        "the cause is printed"
    );
}

#[tokio::test]
async fn an_agent_that_hangs_is_not_waited_for_long() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let server = async {
        let _connection = listener.accept().await.unwrap();
        pending::<()>().await;
    };
    let client = Client::new(socket).with_timeout(Duration::from_millis(20));
    let error = tokio::select! {
        answer = client.ask("/v1/status", &[]) => answer.unwrap_err(),
        () = server => unreachable!("the server never ends"),
    };
    assert_eq!(
        message(error),
        "the agent at SOCKET did not answer within 20ms: it hangs; see its log"
    );
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_no_answer() {
    let error = asked(b"* OK IMAP4rev1 ready\r\n\r\n").await.unwrap_err();
    let message = message(error);
    assert!(
        message.starts_with("the agent at SOCKET gave no whole answer: see its log: "),
        "{message}"
    );
}

#[tokio::test]
async fn an_answer_cut_short_is_no_answer() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"routes\": [";
    let error = asked(cut).await.unwrap_err();
    assert!(matches!(error, ClientError::Broken { .. }), "{error:?}");
    let error = asked(b"").await.unwrap_err();
    assert!(matches!(error, ClientError::Broken { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_is_not_json_is_another_version() {
    let error = asked(response("200 OK", "hello")).await;
    assert_eq!(
        message(error.unwrap_err()),
        format!(
            "rutter {} does not understand the answer at SOCKET: use the program of the agent's \
             own version, as kubectl exec in its pod does: expected value at line 1 column 1",
            env!("CARGO_PKG_VERSION")
        )
    );
}

#[tokio::test]
async fn an_answer_without_a_field_we_need_is_another_version() {
    let answer = asked(response("200 OK", r#"{"paths":[]}"#)).await;
    let error = answer.unwrap().read::<Routes>().unwrap_err();
    assert!(matches!(error, ClientError::Skew { .. }), "{error:?}");
    assert!(message(error).ends_with("missing field `routes`"));
}

#[tokio::test]
async fn a_refusal_is_told_in_the_agents_words() {
    let answer = response("404 Not Found", r#"{"error":"no peer is named tor"}"#);
    let error = asked(answer).await.unwrap_err();
    assert_eq!(message(error), "no peer is named tor");
}

#[tokio::test]
async fn a_refusal_without_words_is_another_version() {
    let error = asked(response("404 Not Found", "")).await;
    assert!(matches!(error, Err(ClientError::Skew { .. })), "{error:?}");
}

#[test]
fn the_values_of_a_query_are_encoded() {
    assert_eq!(target("/v1/routes", &[]), "/v1/routes");
    assert_eq!(
        target("/v1/routes", &[("rejected", "true"), ("peer", "a&b =%/ü")]),
        "/v1/routes?rejected=true&peer=a%26b%20%3D%25%2F%C3%BC"
    );
}
