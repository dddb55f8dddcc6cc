//! Nothing panics, whatever arrives: noise, and valid messages cut, flipped and lied about.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Decodes until the first error or the end; what was decoded can be printed and sent on.
fn survive(octets: &[u8], context: CodecContext) {
    let mut rest = octets;
    while let Ok(Some((message, taken))) = decode(rest, context) {
        assert!((HEADER_BYTES..=rest.len()).contains(&taken));
        if let Message::Notification(notification) = &message {
            assert!(!notification.to_string().is_empty());
        }
        let sent_on = encoded(&message, context);
        decode_all(&sent_on, context);
        rest = &rest[taken..];
    }
}

/// One full UPDATE with both families, as no encoder here would mix them.
fn rich_update() -> Vec<u8> {
    let attributes = hex(
        "80 0e 18 0002 01 10 fd000000000000000000000000000001 00 10 fd00
         40 01 01 00
         40 02 10 02 02 0000fde8 00010000 01 01 00000001
         40 03 04 0a000001
         80 04 04 00000064
         40 05 04 00000064
         40 06 00
         c0 07 08 0000fde8 0a000001
         c0 08 08 fde80001 fde80002
         80 09 04 0a000001
         80 0a 08 0a000001 0a000002
         80 0f 06 0002 01 10 fd01
         c0 10 08 0002fde800000001
         c0 11 06 02 01 00010000
         c0 12 08 00010000 0a000001
         c0 20 0c 000000010000000200000003
         c0 63 03 010203",
    );
    let length = u16::try_from(attributes.len()).unwrap();
    let body = [
        &hex("0005 20 0a010203")[..],
        &length.to_be_bytes(),
        &attributes,
        &hex("18 0a0102 00 20 0a020304"),
    ]
    .concat();
    message(2, &body)
}

fn every_context() -> [CodecContext; 4] {
    [
        EXTERNAL,
        INTERNAL,
        OLD,
        CodecContext {
            as_width: AsWidth::TwoOctets,
            peering: Peering::Internal,
            first_as: None,
        },
    ]
}

/// The message cut at `end`, its header told about it.
fn cut(octets: &[u8], end: usize) -> Vec<u8> {
    let mut short = octets[..end].to_vec();
    let length = u16::try_from(end).unwrap();
    short[16..18].copy_from_slice(&length.to_be_bytes());
    short
}

#[test]
fn a_message_cut_at_every_octet_is_refused_or_read() {
    let open = message(
        1,
        &hex("04 fc00 005a 0a000001 0e 02 06 41 04 0000fc00 02 04 46 02 0102"),
    );
    let messages = [open, rich_update(), message(3, &hex("06 02 03 627965"))];
    for whole in &messages {
        for end in HEADER_BYTES..whole.len() {
            for context in every_context() {
                assert_eq!(decode(&whole[..end], context), Ok(None));
                survive(&cut(whole, end), context);
            }
        }
    }
}

#[test]
fn an_open_cut_anywhere_in_its_parameters_is_refused() {
    let whole = message(1, &hex("04 fc00 005a 0a000001 08 02 06 41 04 0000fc00"));
    for end in HEADER_BYTES..whole.len() {
        let error = decode(&cut(&whole, end), EXTERNAL).unwrap_err();
        let (code, _) = error.notification.error.into();
        assert!(matches!(code, 1 | 2), "{end}: {error}");
    }
}

#[test]
fn every_octet_of_an_update_may_be_anything() {
    let whole = rich_update();
    for at in 16..whole.len() {
        for value in [0, 1, 2, 0x0F, 0x21, 0x7F, 0x80, 0x81, 0xFE, 0xFF] {
            let mut octets = whole.clone();
            octets[at] = value;
            for context in every_context() {
                survive(&octets, context);
            }
        }
    }
}

#[test]
fn a_rich_update_is_read_whole() {
    for context in [EXTERNAL, INTERNAL] {
        let messages = decode_all(&rich_update(), context);
        let [Message::Update(update)] = &messages[..] else {
            panic!("expected one UPDATE, got {messages:?}");
        };
        assert_eq!(update.reach.len(), 2);
        assert_eq!(update.withdrawn, prefixes(&["10.1.2.3", "fd01::/16"]));
    }
}

fn any_message() -> impl Strategy<Value = (CodecContext, Vec<u8>)> {
    let update =
        (strategies::context(), strategies::reach(40)).prop_flat_map(|(context, reach)| {
            strategies::attributes(context.peering).prop_map(move |attributes| {
                let mut octets = Vec::new();
                encode_updates(&[], Some((&attributes, &reach)), context, &mut octets).unwrap();
                (context, octets)
            })
        });
    let small = (strategies::context(), strategies::small_message())
        .prop_map(|(context, message)| (context, encoded(&message, context)));
    prop_oneof![update, small]
}

proptest! {
    #[test]
    fn noise_is_survived(octets in vec(any::<u8>(), 0..5000), context in strategies::context()) {
        survive(&octets, context);
    }

    #[test]
    fn noise_behind_a_good_header_is_survived(
        kind in 0..8u8,
        body in vec(any::<u8>(), 0..4077),
        context in strategies::context(),
    ) {
        survive(&message(kind, &body), context);
    }

    #[test]
    fn noise_as_attributes_is_survived(
        attributes in vec((any::<u8>(), 0..40u8, vec(any::<u8>(), 0..40)), 0..20),
        nlri in vec(any::<u8>(), 0..20),
        context in strategies::context(),
    ) {
        let list: Vec<u8> = attributes
            .into_iter()
            .flat_map(|(flags, code, value)| {
                let length = u8::try_from(value.len()).unwrap();
                [vec![flags & !0x10, code, length], value].concat()
            })
            .collect();
        let length = u16::try_from(list.len()).unwrap().to_be_bytes();
        survive(&message(2, &[&[0, 0], &length[..], &list, &nlri].concat()), context);
    }

    #[test]
    fn mutations_of_valid_messages_are_survived(
        (context, octets) in any_message(),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut octets = octets;
        if !octets.is_empty() {
            for (at, value) in flips {
                let at = at.index(octets.len());
                octets[at] = value;
            }
        }
        survive(&octets, context);
    }
}
