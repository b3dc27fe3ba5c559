//! Many clients that do nothing, or next to nothing, and one address that connects all the time.

use std::io::Write;
use std::net::TcpStream;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::{connect_from, is_served, may_open, memory, read_to_end, read_until};
use crate::have::skip;
use crate::lab;
use crate::site::Site;

/// Threads that connect at the same time.
const STORMS: usize = 4;

/// The address that number `number` of a crowd comes from: 100 of each.
fn source(number: usize) -> [u8; 4] {
    [127, 1, u8::try_from(number / 25_000).unwrap(), u8::try_from(number / 100 % 250).unwrap() + 1]
}

fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn ten_thousand_idle_clients_cost_little_and_keep_nobody_waiting() {
    let count = lab::either(500, 10_000);
    if !may_open(count as u64 + 500) {
        return skip(&format!("{count} descriptors are not allowed"));
    }
    let site = Site::new("[limits]\nsessions = 20000\n");
    let smtpd = site.listen(&[]);
    let mut clients: Vec<TcpStream> = Vec::with_capacity(count);
    for number in 0..count {
        clients.push(connect_from(source(number), smtpd.address()));
    }
    for client in &mut clients {
        assert!(read_until(client, "220 ").starts_with("220 "));
    }
    // The same measurement without a crowd, in turn: what the machine does beside is in both.
    let deserted = Site::new("");
    let calm = deserted.listen(&[]);
    let pairs: Vec<_> =
        (0..40).map(|_| (is_served(&smtpd, [127, 2, 0, 1]), is_served(&calm, [127, 2, 0, 1]))).collect();
    let (crowded, alone) = (median(pairs.iter().map(|pair| pair.0)), median(pairs.iter().map(|pair| pair.1)));
    let resident = memory(&smtpd);
    lab::report(
        "idle connections",
        &format!(
            "{count}, {resident} KiB resident, a new client greeted within {:.1} ms, without the crowd {:.1} ms (medians)",
            crowded.as_secs_f64() * 1e3,
            alone.as_secs_f64() * 1e3
        ),
    );
    assert!(resident < 120_000, "{resident} KiB");
    assert!(crowded <= 3 * alone + Duration::from_millis(10), "{crowded:?}, but {alone:?} without the crowd");
}

#[test]
fn who_drips_a_command_gets_no_more_time_than_who_is_silent() {
    let count = lab::either(200, 2_000);
    if !may_open(count as u64 + 500) {
        return skip(&format!("{count} descriptors are not allowed"));
    }
    let site = Site::new("[limits]\nsessions = 4000\nidle = \"5s\"\n");
    let smtpd = site.listen(&[]);
    let mut drippers: Vec<TcpStream> = (0..count).map(|number| connect_from(source(number), smtpd.address())).collect();
    for dripper in &mut drippers {
        assert!(read_until(dripper, "220 ").starts_with("220 "));
        dripper.write_all(b"NOOP\r\nNO").unwrap();
    }
    // An octet a second, for longer than a client may be silent.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(7) {
        for dripper in &mut drippers {
            // One that was sent away is what is wanted.
            let _ = dripper.write_all(b"O");
        }
        is_served(&smtpd, [127, 2, 0, 1]);
        sleep(Duration::from_millis(500));
    }
    let mut ended = 0;
    for mut dripper in drippers {
        let heard = read_to_end(&mut dripper);
        ended += 1;
        // Octets that crossed the farewell make the kernel drop it.
        assert!(heard.contains("421 4.4.2") || heard.is_empty() || heard.starts_with("250 "), "{heard}");
    }
    let log = smtpd.log();
    let told = log.lines().filter(|line| line.contains("timeout after ")).count();
    assert_eq!(told, count, "{log}");
    lab::report("slow drippers", &format!("{ended} at once, all ended after 5 s, a mannerly client served throughout"));
}

#[test]
fn one_address_that_connects_all_the_time_is_turned_away_and_nobody_else() {
    let count = lab::either(2_000, 40_000);
    let site = Site::new("[limits]\nexempt = []\n");
    let smtpd = site.listen(&[]);
    let address = smtpd.address();
    let began = Instant::now();
    // What each of the connections heard first: from several threads, as one alone is not fast enough.
    let storm = || {
        let (mut greeted, mut turned_away) = (0_usize, 0_usize);
        for _ in 0..count / STORMS {
            let mut stream = connect_from([127, 3, 0, 1], address);
            let heard = read_until(&mut stream, "");
            greeted += usize::from(heard.starts_with("220 "));
            turned_away += usize::from(heard.starts_with("421 4.7.0"));
        }
        (greeted, turned_away)
    };
    let mut longest = Duration::ZERO;
    let (greeted, turned_away) = thread::scope(|scope| {
        let storms: Vec<_> = (0..STORMS).map(|_| scope.spawn(storm)).collect();
        while !storms.iter().all(thread::ScopedJoinHandle::is_finished) {
            longest = longest.max(is_served(&smtpd, [127, 3, 0, 2]));
            sleep(Duration::from_millis(50));
        }
        let sums = storms.into_iter().map(|storm| storm.join().unwrap());
        sums.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    });
    let unheard = count - greeted - turned_away;
    let took = began.elapsed();
    // In each second that was begun, 50 are welcome.
    let welcome = 50 * (usize::try_from(took.as_secs()).unwrap() + 2);
    assert!(greeted <= welcome, "{greeted} greeted within {took:?}");
    assert_eq!(unheard, 0, "each is told why");
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    let log = smtpd.log();
    let lines = log.lines().filter(|line| line.contains("[127.3.0.1]") && line.contains("reject")).count();
    assert!(lines <= 2 + usize::try_from(took.as_secs() / 60).unwrap(), "{lines} lines:\n{log}");
    let rate = count as f64 / took.as_secs_f64();
    lab::report(
        "connection flood",
        &format!(
            "{count} connections of one address, {rate:.0} a second: {greeted} greeted, {turned_away} got 421 4.7.0, {lines} \
             lines in the log; another address greeted within {} ms",
            longest.as_millis()
        ),
    );
}
