//! Two administrators at once, while four `spoolrun watch` deliver, all as processes of their own. The same with ten thousand
//! operations, within one process, is in `tests/concurrent_verbs.rs`.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::client::original;
use crate::site::{Site, wait_until};

#[test]
fn two_terminals_beside_four_watches_lose_and_double_nothing() {
    let site = Site::new("");
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    let ids: Vec<String> = (0..60)
        .map(|number| client.submit("a@example.com", &["b@example.com"], format!("Subject: {number}\r\n").as_bytes()))
        .collect();
    assert!(site.run(&["pause", "relay"]).status.success());
    let watches: Vec<_> = (0..4).map(|_| site.watch(&[])).collect();
    watches.iter().for_each(|watch| watch.wait_for_log("watching"));
    let removed = Mutex::new(HashSet::new());
    // Each terminal has the last word on its own half of the messages, and a word on all before.
    let last_words = Mutex::new(HashMap::new());
    thread::scope(|scope| {
        for terminal in 0..2 {
            let (site, ids, removed) = (&site, &ids, &removed);
            scope.spawn(move || {
                for step in 0..60 {
                    let number = (step * 7 + terminal * 13) % ids.len();
                    let verb = ["hold", "release", "requeue", "hold", "requeue", "remove"][(step + terminal) % 6];
                    let output = site.run(&[verb, "--wait", "1m", "--json", &ids[number]]);
                    let said = String::from_utf8(output.stdout).unwrap();
                    if verb == "remove" && said.contains("\"result\":\"done\"") {
                        assert!(removed.lock().unwrap().insert(number), "{number} was removed twice");
                    }
                }
            });
        }
        thread::sleep(Duration::from_millis(150));
        assert!(site.run(&["resume", "relay"]).status.success());
    });
    // Now each says what it means, once, and the messages end so.
    thread::scope(|scope| {
        for terminal in 0..2 {
            let (site, ids, last_words) = (&site, &ids, &last_words);
            scope.spawn(move || {
                for number in (terminal..ids.len()).step_by(2) {
                    let verb = if number % 3 == 0 { "hold" } else { "release" };
                    let output = site.run(&[verb, "--wait", "1m", "--json", &ids[number]]);
                    let said = String::from_utf8(output.stdout).unwrap();
                    if said.contains("\"result\":\"done\"") || said.contains("\"result\":\"unchanged\"") {
                        last_words.lock().unwrap().insert(number, verb);
                    }
                }
            });
        }
    });
    wait_until("what may go has gone", || site.shelf("queue").is_empty());
    drop(watches);
    let held = site.shelf("hold");
    let mut copies: HashMap<usize, usize> = HashMap::new();
    for message in site.delivered() {
        let text = String::from_utf8_lossy(original(&message)).into_owned();
        let number = text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap().parse().unwrap();
        *copies.entry(number).or_default() += 1;
    }
    let (removed, last_words) = (removed.into_inner().unwrap(), last_words.into_inner().unwrap());
    for (number, id) in ids.iter().enumerate() {
        let copies = copies.get(&number).copied().unwrap_or(0);
        let ends = [copies, usize::from(held.contains(id)), usize::from(removed.contains(&number))];
        assert_eq!(ends.iter().sum::<usize>(), 1, "{number}: copies, held, removed: {ends:?}");
        if let Some(word) = last_words.get(&number) {
            assert_eq!(held.contains(id), *word == "hold", "{number}: the last word was {word}: {ends:?}");
        }
    }
    assert!(!held.is_empty() && !copies.is_empty(), "too few of either");
}
