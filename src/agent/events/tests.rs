//! What is written, what is repeated and what is dropped.

use super::*;

fn failing(policy: &str) -> Occurrence {
    let notice = Notice::PolicyFailing {
        direction: Direction::Export,
        policy: policy.to_owned(),
        error: "the module trapped".to_owned(),
    };
    notice.event()
}

/// Enters an event, and records it as `name` where it is to be created.
fn enter(
    ledger: &mut Ledger<&'static str>,
    now: Instant,
    event: &Occurrence,
    name: &'static str,
) -> Step<&'static str> {
    let step = ledger.enter(now, event);
    if step == Step::Create {
        ledger.recorded(now, event.clone(), name);
    }
    step
}

#[test]
fn what_comes_to_pass_again_is_one_event() {
    let (mut ledger, now) = (Ledger::default(), clock::now());
    let (one, two) = (failing("one"), failing("two"));
    assert_eq!(enter(&mut ledger, now, &one, "a"), Step::Create);
    let again = |recorded, count| Step::Repeat { recorded, count };
    assert_eq!(enter(&mut ledger, now, &one, "b"), again("a", 2));
    assert_eq!(enter(&mut ledger, now, &two, "c"), Step::Create);
    assert_eq!(enter(&mut ledger, now, &one, "d"), again("a", 3));
    // Much later it is news.
    let later = now + SERIES_TIME;
    assert_eq!(enter(&mut ledger, later, &one, "e"), Step::Create);
    assert_eq!(ledger.series.len(), 1);
}

#[test]
fn an_endless_failure_costs_an_event_a_minute() {
    let (mut ledger, start) = (Ledger::default(), clock::now());
    let mut written = 0;
    for second in 0..3_600 {
        let event = failing(&format!("policy-{second}"));
        let now = start + Duration::from_secs(second);
        if enter(&mut ledger, now, &event, "x") != Step::Drop {
            written += 1;
        }
        assert!(ledger.series.len() <= 21, "{}", ledger.series.len());
    }
    assert_eq!(written, 10 + 59);
    // Another reason has a budget of its own.
    let well = Notice::PolicyRecovered {
        direction: Direction::Import,
        policy: "x".into(),
    };
    assert_eq!(ledger.enter(start, &well.event()), Step::Create);
}

#[test]
fn what_was_too_much_to_write_is_counted_by_the_next_that_is_written() {
    let (mut ledger, start) = (Ledger::default(), clock::now());
    let event = failing("one");
    for _ in 0..30 {
        enter(&mut ledger, start, &event, "a");
    }
    let step = enter(&mut ledger, start + RATE.pause, &event, "b");
    let expected = Step::Repeat {
        recorded: "a",
        count: 31,
    };
    assert_eq!(step, expected);
}

#[tokio::test]
async fn telling_never_waits_and_counts_what_it_drops() {
    let (notices, told) = Notices::queue();
    for _ in 0..QUEUE_DEPTH + 5 {
        notices.tell(Notice::ConfigurationReloaded);
    }
    assert_eq!(told.len(), QUEUE_DEPTH);
    let EventCounts {
        told,
        recorded,
        dropped,
    } = notices.counts();
    assert_eq!((recorded, dropped), (0, 5));
    assert_eq!(told["ConfigurationReloaded"], 261);
    assert_eq!(told["SessionDown"], 0);

    let nowhere = Notices::default();
    nowhere.tell(Notice::ConfigurationReloaded);
    let counts = nowhere.counts();
    assert_eq!(
        (counts.told["ConfigurationReloaded"], counts.dropped),
        (1, 0)
    );
}

#[test]
fn an_import_policy_is_told_from_a_policy_of_its_name() {
    let note = |direction| {
        let failing = Notice::PolicyFailing {
            direction,
            policy: "own".to_owned(),
            error: "the module trapped".to_owned(),
        };
        failing.event().note
    };
    let words = "own: the module trapped; its on-error decides about its routes";
    assert_eq!(note(Direction::Export), format!("policy {words}"));
    assert_eq!(note(Direction::Import), format!("import policy {words}"));
}

#[test]
fn what_is_refused_of_a_service_is_told_to_the_service() {
    let service = ServiceKey::new("shop", "web");
    let event = Notice::AddressRefused {
        service: service.clone(),
        refusal: "the address is peer tor's".to_owned(),
    }
    .event();
    assert_eq!(event.regarding, Regarding::Service(service));
    assert_eq!(event.note, "the address is peer tor's");
}

#[test]
fn a_route_that_a_policy_fails_on_is_told_with_its_service() {
    let service = ServiceKey::new("default", "web");
    let held = |service: Option<ServiceKey>| Notice::RouteHeld {
        direction: Direction::Export,
        policy: "own".to_owned(),
        subject: "default/web".to_owned(),
        service,
        error: "the module trapped".to_owned(),
    };
    let event = held(Some(service.clone())).event();
    assert_eq!(event.regarding, Regarding::Service(service));
    assert_eq!(
        event.note,
        "policy own fails on default/web, and its on-error decides about that alone: the module \
         trapped"
    );
    assert_eq!(held(None).event().regarding, Regarding::Node);
}

#[test]
fn every_reason_is_counted_from_the_start() {
    let (policy, peer, error, reason) = <(String, String, String, String)>::default();
    let all = [
        Notice::PolicyFailing {
            direction: Direction::Export,
            policy: policy.clone(),
            error: error.clone(),
        },
        Notice::RouteHeld {
            direction: Direction::Export,
            policy: policy.clone(),
            subject: String::new(),
            service: None,
            error: error.clone(),
        },
        Notice::PolicyRecovered {
            direction: Direction::Import,
            policy,
        },
        Notice::PolicyFallback {
            error: error.clone(),
        },
        Notice::ConfigurationRefused {
            error: error.clone(),
        },
        Notice::ModuleRefused {
            error: error.clone(),
        },
        Notice::ChangeHeld { change: error },
        Notice::ConfigurationReloaded,
        Notice::SessionEstablished { peer: peer.clone() },
        Notice::SessionDown {
            peer: peer.clone(),
            reason,
        },
        Notice::RoutesKept {
            peer: peer.clone(),
            routes: 0,
            seconds: 0,
        },
        Notice::RoutesExpired { peer, routes: 0 },
        Notice::AddressRefused {
            service: ServiceKey::new("shop", "web"),
            refusal: String::new(),
        },
        Notice::ResourceNotHeeded {
            kind: calico::Kind::BgpPeer,
            name: "tor".to_owned(),
            words: String::new(),
        },
    ];
    assert_eq!(all.map(|notice| notice.event().reason), REASONS);
    assert_eq!(Notices::default().counts().told.len(), REASONS.len());
}

#[test]
fn a_refused_module_is_told_from_a_refused_configuration() {
    let refusal = LinkRefused("policies.module own.wasm: not WebAssembly".to_owned());
    let event = Notice::refused(&refusal.into()).event();
    assert_eq!(event.reason, "ModuleRefused");
    assert_eq!(
        event.note,
        "the policies in force stay: policies.module own.wasm: not WebAssembly"
    );
    let event = Notice::refused(&anyhow::anyhow!("rutter.toml:1:1: bad")).event();
    assert_eq!(event.reason, "ConfigurationRefused");
}
