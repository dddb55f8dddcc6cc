//! NOTIFICATION in words, and its codes as numbers.

use super::*;

#[test]
fn every_pair_of_octets_is_an_error_code_and_back() {
    for code in 0..=255 {
        for subcode in 0..=255 {
            let pair: (u8, u8) = ErrorCode::from((code, subcode)).into();
            assert_eq!(pair, (code, subcode));
        }
    }
}

#[test]
fn notifications_speak_the_registrys_words() {
    let words = |code, subcode, data: &[u8]| {
        let error = ErrorCode::from((code, subcode));
        let data = data.to_vec();
        Notification { error, data }.to_string()
    };
    let lines = [
        words(1, 2, &[0x10, 0x01]),
        words(2, 0, &[]),
        words(2, 2, &[]),
        words(2, 11, &[]),
        words(3, 11, &[]),
        words(3, 77, &[]),
        words(4, 0, &[]),
        words(5, 1, &[]),
        words(6, 1, &[0, 1, 1, 0, 0, 0, 10]),
        words(6, 2, b"\x05hello"),
        words(6, 3, b"\x05hello"),
        words(6, 9, &[6, 2, 3, b'b', b'y', b'e']),
        words(6, 9, &[6, 9, 6, 9]),
        words(6, 9, &[6]),
        words(6, 10, &[]),
        words(7, 1, &[]),
        words(8, 0, &[]),
        words(99, 3, &[0; 40]),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r"
    Message Header Error/Bad Message Length (data 0x1001)
    OPEN Message Error
    OPEN Message Error/Bad Peer AS
    OPEN Message Error/subcode 11
    UPDATE Message Error/Malformed AS_PATH
    UPDATE Message Error/subcode 77
    Hold Timer Expired
    Finite State Machine Error/Unexpected Message in OpenSent State
    Cease/Maximum Number of Prefixes Reached (data 0x0001010000000a)
    Cease/Administrative Shutdown: hello
    Cease/Peer De-configured (data 0x0568656c6c6f)
    Cease/Hard Reset of Cease/Administrative Shutdown: bye
    Cease/Hard Reset (data 0x06090609)
    Cease/Hard Reset (data 0x06)
    Cease/BFD Down
    ROUTE-REFRESH Message Error/subcode 1
    Send Hold Timer Expired
    error 99/subcode 3 (data 0x0000000000000000000000000000000000000000000000000000000000000000... of 40 bytes)
    ");
}

fn shutdown(data: &[u8]) -> Notification {
    Notification {
        error: ErrorCode::Cease(CeaseSubcode::AdministrativeShutdown),
        data: data.to_vec(),
    }
}

#[test]
fn shutdown_text_is_cut_between_characters() {
    let text = "é".repeat(100);
    let cease = Notification::cease_with_text(CeaseSubcode::AdministrativeReset, &text);
    assert_eq!(cease.data.len(), 129);
    assert_eq!(cease.text(), Some("é".repeat(64)));
    let text = format!("a{text}");
    let cease = Notification::cease_with_text(CeaseSubcode::AdministrativeReset, &text);
    assert_eq!(cease.text(), Some(format!("a{}", "é".repeat(63))));
}

#[test]
fn shutdown_text_that_is_no_text_cannot_disturb_a_log() {
    assert_eq!(
        shutdown(b"\x07a\xFFb\nc\x1B[").text().as_deref(),
        Some("a\u{FFFD}b\u{FFFD}c\u{FFFD}[")
    );
}

#[test]
fn shutdown_text_needs_a_length_that_agrees() {
    for data in [&b""[..], b"\0", b"\x03ab", b"\x01ab", b"\xFF"] {
        assert_eq!(shutdown(data).text(), None, "{data:?}");
    }
}

#[test]
fn data_beyond_a_message_is_cut() {
    let octets = encoded(&Message::Notification(shutdown(&[1; 5000])), EXTERNAL);
    assert_eq!(octets.len(), MESSAGE_BYTES_MAX);
    assert_eq!(decode_all(&octets, EXTERNAL).len(), 1);
}
