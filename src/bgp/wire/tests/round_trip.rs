//! What is encoded is decoded as it was.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// The octets of every message in `octets`, by their length fields alone.
fn frames(octets: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    let mut rest = octets;
    while !rest.is_empty() {
        let length = usize::from(u16::from_be_bytes([rest[16], rest[17]]));
        let (frame, tail) = rest.split_at(length);
        frames.push(frame);
        rest = tail;
    }
    frames
}

fn sorted(mut prefixes: Vec<Prefix>) -> Vec<Prefix> {
    prefixes.sort();
    prefixes
}

fn with_attributes() -> impl Strategy<Value = (CodecContext, PathAttributes)> {
    strategies::context().prop_flat_map(|context| {
        let attributes = strategies::attributes(context.peering);
        (Just(context), attributes)
    })
}

proptest! {
    #[test]
    fn small_messages(message in strategies::small_message(), context in strategies::context()) {
        let octets = encoded(&message, context);
        prop_assert!(octets.len() <= MESSAGE_BYTES_MAX);
        prop_assert_eq!(decode_all(&octets, context), [message]);
    }

    /// Every prefix arrives once, with its next hop and attributes, in messages that fit and
    /// carry one kind of prefixes each (RFC 7606 section 5.1).
    #[test]
    fn updates(
        (context, attributes) in with_attributes(),
        reach in strategies::reach(1500),
        withdrawn_ipv4 in vec(strategies::ipv4_prefix(), 0..1500),
        withdrawn_ipv6 in vec(strategies::ipv6_prefix(), 0..500),
    ) {
        let withdrawn = [withdrawn_ipv6, withdrawn_ipv4].concat();
        let mut octets = b"earlier".to_vec();
        let announced = Some((&attributes, &reach[..]));
        let count = encode_updates(&withdrawn, announced, context, &mut octets).unwrap();
        prop_assert_eq!(&octets[..7], b"earlier");
        let octets = &octets[7..];

        let frames = frames(octets);
        prop_assert_eq!(frames.len(), count);
        prop_assert!(frames.iter().all(|frame| frame.len() <= MESSAGE_BYTES_MAX));

        let mut found_withdrawn = Vec::new();
        let mut found_reach: Vec<Reach> = Vec::new();
        for message in decode_all(octets, context) {
            let update = into_update(message);
            prop_assert_eq!(&update.errors, &[]);
            prop_assert!(update.withdrawn.is_empty() != update.reach.is_empty());
            prop_assert!(update.reach.len() <= 1);
            found_withdrawn.extend(update.withdrawn);
            for part in update.reach {
                prop_assert_eq!(&update.attributes, &attributes);
                match found_reach.iter_mut().find(|found| found.next_hop == part.next_hop) {
                    Some(found) => found.prefixes.extend(part.prefixes),
                    None => found_reach.push(part),
                }
            }
        }
        prop_assert_eq!(sorted(found_withdrawn), sorted(withdrawn));
        prop_assert_eq!(found_reach, reach);
    }

    /// No message could have been spared: of two neighbours of a kind, the first had no room
    /// for the second's first prefix.
    #[test]
    fn messages_are_full(
        attributes in strategies::attributes(Peering::External),
        reach in strategies::reach(1500),
    ) {
        let mut octets = Vec::new();
        encode_updates(&[], Some((&attributes, &reach)), EXTERNAL, &mut octets).unwrap();
        for pair in frames(&octets).windows(2) {
            let [first, second] = [pair[0], pair[1]].map(|frame| {
                let (message, _) = decode(frame, EXTERNAL).unwrap().unwrap();
                into_update(message).reach.swap_remove(0)
            });
            let family = |reach: &Reach| reach.prefixes[0].family();
            if family(&first) == family(&second) {
                let spare = MESSAGE_BYTES_MAX - pair[0].len();
                let next = nlri::encoded_bytes(&second.prefixes[0]);
                prop_assert!(spare <= next, "{} octets left for {}", spare, next);
            }
        }
    }
}
