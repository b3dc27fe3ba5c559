//! A database that is away for days, in simulated time, by the agent and the database as they are.

use std::path::Path;
use std::time::Duration;

use crate::event::Event;
use crate::queue::testing::{House, MemorySpool};
use crate::queue::{Route, Runner, Selection, Urgency};
use crate::transport::{AuthMethod, Extensions, IpVersion, Leaving, RouteSettings, Timeouts, TlsSettings, dispatch};

fn runner(house: &House, file: &Path) -> Runner<MemorySpool> {
    let settings = RouteSettings {
        name: "main".to_owned(),
        next_hop: format!("sqlite:{}", file.display()).parse().unwrap(),
        password: None,
        token: None,
        auth: AuthMethod::Auto,
        tls: TlsSettings::default(),
        extensions: Extensions::default(),
        helo: "relay.example".parse().unwrap(),
        own_mark: None,
        source: None,
        mta_sts: None,
        ip: IpVersion::Any,
        mx_networks: Vec::new(),
        name_servers: crate::dns::NameServers::default(),
        max_size: None,
        connections: 2,
        recipients_per_message: None,
        messages_per_connection: None,
        timeouts: Timeouts::default(),
        traced: false,
    };
    let way = house.route("main", crate::routing::Criteria::default());
    let dispatch = dispatch(&[settings], Leaving::default()).unwrap();
    Runner { routes: vec![Route { dispatch, ..way }], ..house.runner() }
}

#[test]
fn a_database_that_is_away_for_ten_days_loses_and_returns_no_mail() {
    let (house, folder) = (House::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("away/mail.db");
    let runner = runner(&house, &file);
    for number in 0..20 {
        house.put(number, "joe@x", &["amy@a", "bob@b"]);
    }
    let hours = 10 * 24;
    for _ in 0..hours {
        let summary = runner.flush(Selection::All, Urgency::Due).unwrap();
        assert_eq!((summary.sent, summary.remaining, summary.set_aside), (0, 20, 0));
        house.clock.advance(Duration::from_secs(3_600));
    }
    let returned =
        |event: &Event| matches!(event, Event::Expired { .. } | Event::Notified { .. } | Event::DelayNotified { .. });
    assert_eq!(house.events.count(returned), 0, "no attempt counted");
    std::fs::create_dir(folder.path().join("away")).unwrap();
    let mut sent = 0;
    for _ in 0..3 {
        house.clock.advance(Duration::from_secs(3_600));
        sent += runner.flush(Selection::All, Urgency::Due).unwrap().sent;
    }
    assert_eq!(sent, 20);
    assert!(house.queue_is_empty() && file.is_file());
    assert_eq!(house.events.count(|event| matches!(event, Event::Attempted { .. })), 40, "once for each recipient");
}
