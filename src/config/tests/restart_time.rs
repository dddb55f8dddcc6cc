//! `bgp.graceful-restart` and `restart-time`.

use super::*;

#[test]
fn a_peer_restarts_as_all_do_unless_it_says_otherwise() {
    let peers = "[[peers]]\naddress = '10.0.0.1'\nasn = 1\n\
                 [[peers]]\naddress = '10.0.0.2'\nasn = 1\nrestart-time = '1m30s'\n\
                 [[peers]]\naddress = '10.0.0.3'\nasn = 1\nrestart-time = 'off'\n";
    let times = |bgp: &str| {
        let config = parse(&format!("{bgp}{peers}"));
        let times = config.peers.iter().map(|peer| peer.restart_time);
        times
            .map(|time| time.map(RestartTime::as_secs))
            .collect::<Vec<_>>()
    };
    assert_eq!(times(""), [Some(120), Some(90), None]);
    let off = "[bgp]\ngraceful-restart = 'off'\n";
    assert_eq!(times(off), [None, Some(90), None]);
    let long = "[bgp]\ngraceful-restart = '1h'\n";
    assert_eq!(times(long), [Some(3600), Some(90), None]);
}
