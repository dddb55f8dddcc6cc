//! A peer as far as a speaker sees it: who it is, and what it says.

use std::cell::Cell;

use rutter::bgp::wire::Capability;
use rutter::types::{Family, HoldTime};

use super::*;

/// A peer that dials us.
pub(super) struct FarEnd {
    id: PeerId,
    asn: Asn,
    address: IpAddr,
    connection: Cell<Option<ConnectionId>>,
}

impl FarEnd {
    pub(super) fn new(number: u32, asn: Asn) -> Self {
        Self {
            id: PeerId(number),
            asn,
            address: IpAddr::V4(Ipv4Addr::from(0x0A00_0002 + number)),
            connection: Cell::new(None),
        }
    }

    pub(super) fn config(&self) -> PeerConfig {
        PeerConfig {
            connect_mode: ConnectMode::Passive,
            ..PeerConfig::new(self.id, self.address, self.asn)
        }
    }

    pub(super) fn connection(&self) -> ConnectionId {
        self.connection.get().unwrap()
    }

    /// A session, and all that the speaker says of itself on it.
    pub(super) fn establish(&self, speaker: &mut Speaker, now: Instant) {
        let connection = speaker.allocate_connection();
        self.connection.set(Some(connection));
        let local = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 179));
        let remote = SocketAddr::new(self.address, 50_000);
        speaker.handle_input(
            now,
            Input::Accepted {
                connection,
                local,
                remote,
            },
        );
        let IpAddr::V4(address) = self.address else {
            panic!("not IPv4")
        };
        let open = Message::Open(Open {
            asn: self.asn,
            hold_time: HoldTime::DEFAULT,
            router_id: RouterId::try_from(address).unwrap(),
            capabilities: vec![
                Capability::Multiprotocol(Family::Ipv4Unicast),
                Capability::FourOctetAsn(self.asn),
            ],
        });
        let mut octets = Vec::new();
        open.encode(context(), &mut octets);
        Message::Keepalive.encode(context(), &mut octets);
        self.send(speaker, now, octets);
        deliver(speaker, now);
    }

    pub(super) fn send(&self, speaker: &mut Speaker, now: Instant, octets: Vec<u8>) {
        let connection = self.connection();
        speaker.handle_input(now, Input::Received { connection, octets });
    }
}
