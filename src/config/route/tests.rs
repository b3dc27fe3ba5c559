//! Routes as the configuration writes them: what the queue gets of them, and what a slip is answered with.

use std::time::Duration;

use crate::config::{Config, RoutePlan};
use crate::queue::routes::pace::Pace;
use crate::transport::{EightBit, RouteSettings, SecretSource, Timeouts, TokenSource};

fn checked(text: &str) -> Result<Config, String> {
    let config = Config::parse(text, "leafmail.toml".as_ref()).map_err(|error| error.to_string())?;
    config.check().map_err(|error| error.to_string()).map(|()| config)
}

fn routes(text: &str) -> Vec<RoutePlan> {
    checked(text).unwrap().routes()
}

fn urls(plan: &RoutePlan) -> String {
    plan.hops.iter().map(|hop| hop.next_hop.to_string()).collect::<Vec<_>>().join(" ")
}

/// Names and next hops, a route a line.
fn table(text: &str) -> String {
    routes(text).iter().map(|plan| format!("{}: {}\n", plan.name, urls(plan))).collect()
}

#[test]
fn without_a_word_there_is_one_route_into_the_maildir_of_the_try_out() {
    let [relay] = &routes("")[..] else { panic!("one route") };
    assert_eq!((relay.name.as_str(), urls(relay).as_str()), ("relay", "maildir:./inbox"));
    assert!(relay.criteria.is_everything());
    let [hop] = &relay.hops[..] else { panic!("one next hop") };
    assert_eq!((relay.pace, hop.source, hop.max_size, hop.connections), (None, None, None, 4));
    assert_eq!((hop.timeouts, hop.extensions.eight_bit), (Timeouts::default(), EightBit::Send));
    assert_eq!((hop.name.as_str(), &hop.helo), ("relay", &Config::default().hostname));
}

#[test]
fn routes_come_in_the_order_of_the_file_and_the_relay_last() {
    let text = "[relay]\nurl = \"smtp://r\"\n[[route]]\nname = \"b\"\nurl = \"smtp://b\"\nsenders = [\"@b.example\"]\n\
                [[route]]\nname = \"a\"\nurl = \"smtp://a\"\nrecipients = [\"@.example.com\"]\nclients = [\"10.0.0.0/8\"]\n\
                logins = [\"scanner\"]\n";
    assert_eq!(table(text), "b: smtp://b\na: smtp://a\nrelay: smtp://r\n");
    let criteria = &routes(text)[1].criteria;
    assert_eq!(criteria.recipients, ["@.example.com".parse().unwrap()]);
    assert_eq!((criteria.clients.len(), criteria.logins.join(" ").as_str()), (1, "scanner"));
    assert!(criteria.senders.is_empty());
}

#[test]
fn no_mail_goes_to_the_try_out_once_there_are_routes() {
    let some = "[[route]]\nname = \"a\"\nurl = \"smtp://a\"\nsenders = [\"@a.b\"]\n";
    let reason = checked(some).unwrap_err();
    let expected =
        "leafmail.toml:1: mail that no [[route]] takes would have nowhere to go; set relay.url, or let the last";
    assert!(reason.starts_with(expected), "{reason}");
    for unchecked in [some, "[relay]\npreset = \"gmail\"", "[[route]]\nname = \"a\""] {
        let routes = Config::parse(unchecked, "x".as_ref()).unwrap().routes();
        assert!(!routes.iter().any(|plan| urls(plan).contains("maildir")), "{unchecked}");
    }
    let all = "[[route]]\nname = \"all\"\nurl = \"smtp://b\"\n";
    assert_eq!(table(&format!("{some}{all}")), "a: smtp://a\nall: smtp://b\n");
    assert_eq!(table(all), "all: smtp://b\n");
    // Empty headings, as the sample has them, are no word.
    assert_eq!(table(&format!("[relay]\n[relay.timeouts]\n[relay.oauth2]\n{all}")), "all: smtp://b\n");
}

#[test]
fn values_reach_the_route() {
    let plans = routes(
        "hostname = \"relay.lan\"\nspool = \"/s\"\n[[route]]\nname = \"x\"\nurl = \"smtp://u@h\"\npassword_env = \"P\"\n\
         pace = \"5/2s\"\nmax_size = \"25MB\"\nsource = \"192.0.2.7\"\nconnections = 2\n[route.timeouts]\ndata = \"7s\"\n",
    );
    assert_eq!(plans[0].pace, Some(Pace { messages: 5, per: Duration::from_secs(2) }));
    let hop = &plans[0].hops[0];
    assert_eq!((hop.max_size, hop.connections), (Some(25_000_000), 2));
    assert_eq!(hop.source, "192.0.2.7".parse().ok());
    assert_eq!(hop.password, Some(SecretSource::Environment("P".to_owned())));
    assert_eq!((hop.timeouts.data, hop.timeouts.block), (Duration::from_secs(7), Timeouts::default().block));
    assert_eq!((hop.helo.as_str(), hop.name.as_str()), ("relay.lan", "x"));
}

#[test]
fn a_fallback_has_what_is_about_us_from_the_main_hop_and_no_credentials() {
    let text = "[relay]\nurl = \"smtp://u@h\"\npassword_env = \"P\"\ntls_roots = \"webpki\"\nhelo = \"me.example\"\n\
                source = \"192.0.2.7\"\nconnections = 2\nmax_size = \"25MB\"\neight_bit = \"bounce\"\nxforward = true\n\
                chunking = true\n[relay.timeouts]\ncommand = \"9s\"\ndata = \"8s\"\n[[relay.fallback]]\nurl = \"smtp://i\"\n\
                [relay.fallback.timeouts]\ndata = \"7s\"\n[[relay.fallback]]\nurl = \"smtp://v@j\"\npassword_env = \"Q\"\n\
                helo = \"you.example\"\nsource = \"::1\"\nconnections = 3\n";
    let [relay] = &routes(text)[..] else { panic!("one route") };
    assert_eq!(urls(relay), "smtp://u@h smtp://i smtp://v@j");
    let [_, first, second] = &relay.hops[..] else { panic!("three hops") };
    let ours = |hop: &RouteSettings| (hop.helo.to_string(), hop.source.unwrap().to_string(), hop.connections);
    assert_eq!(ours(first), ("me.example".to_owned(), "192.0.2.7".to_owned(), 2));
    assert_eq!(ours(second), ("you.example".to_owned(), "::1".to_owned(), 3));
    assert_eq!((first.timeouts.command.as_secs(), first.timeouts.data.as_secs()), (9, 7));
    assert_eq!((first.password.clone(), first.max_size, first.tls.roots.clone()), (None, None, None));
    assert_eq!(first.extensions, crate::transport::Extensions::default());
    assert_eq!(second.password, Some(SecretSource::Environment("Q".to_owned())));
    let folder = "[relay]\nurl = \"smtp://h\"\nsource = \"::1\"\n[[relay.fallback]]\nurl = \"maildir:x\"";
    assert_eq!(routes(folder)[0].hops[1].source, None, "nothing connects to a folder");
}

#[test]
fn a_preset_knows_the_address_and_the_limits_of_a_provider() {
    let preset = |more: &str| {
        let text = format!("[relay]\nuser = \"a@example.com\"\npassword_env = \"P\"\n{more}");
        routes(&text).pop().unwrap()
    };
    let microsoft = preset("preset = \"microsoft365\"");
    assert_eq!(urls(&microsoft), "smtp://a%40example.com@smtp.office365.com");
    assert_eq!(microsoft.pace, Some(Pace { messages: 25, per: Duration::from_secs(60) }));
    assert_eq!((microsoft.hops[0].connections, microsoft.hops[0].max_size), (3, Some(150_000_000)));
    let gmail = preset("preset = \"gmail\"");
    assert_eq!(urls(&gmail), "smtp://a%40example.com@smtp.gmail.com");
    assert_eq!(gmail.pace, Some(Pace { messages: 500, per: Duration::from_secs(86_400) }));
    assert_eq!((gmail.hops[0].connections, gmail.hops[0].max_size), (4, Some(35_000_000)));
    let ses = preset("preset = \"ses\"\nregion = \"eu-west-1\"");
    assert_eq!(urls(&ses), "smtp://a%40example.com@email-smtp.eu-west-1.amazonaws.com");
    assert_eq!(ses.pace, Some(Pace { messages: 1, per: Duration::from_secs(1) }));
    assert_eq!(ses.hops[0].max_size, Some(40_000_000));
    assert_eq!([&microsoft, &gmail, &ses].map(|plan| plan.hops[0].recipients_per_message), [500, 100, 50].map(Some));
    let own = preset(
        "preset = \"microsoft365\"\nrecipients_per_message = 9\nconnections = 1\npace = \"10/m\"\nmax_size = \"1MB\"",
    );
    assert_eq!(own.pace, Some(Pace { messages: 10, per: Duration::from_secs(60) }));
    assert_eq!((own.hops[0].connections, own.hops[0].max_size), (1, Some(1_000_000)));
    assert_eq!((own.hops[0].recipients_per_message, own.hops[0].messages_per_connection), (Some(9), None));
}

#[test]
fn a_preset_serves_routes_and_fallbacks_too() {
    let plans = routes(
        "[[route]]\nname = \"m\"\npreset = \"microsoft365\"\nuser = \"a@b\"\npassword_env = \"P\"\n[[route.fallback]]\n\
         preset = \"gmail\"\nuser = \"c@d\"\npassword_env = \"Q\"\n",
    );
    assert_eq!(urls(&plans[0]), "smtp://a%40b@smtp.office365.com smtp://c%40d@smtp.gmail.com");
    assert_eq!(plans[0].hops[1].max_size, Some(35_000_000));
    assert_eq!(plans[0].pace, Some(Pace { messages: 25, per: Duration::from_secs(60) }), "that of the main next hop");
}

#[test]
#[cfg(feature = "oauth2")]
fn each_next_hop_keeps_its_token_in_a_file_of_its_own() {
    let grant = "token_url = \"https://login.example/token\"\nclient_id = \"me\"\nrefresh_token_file = \"r\"\n";
    let text = format!(
        "spool = \"/s\"\n[[route]]\nname = \"m\"\nurl = \"smtp://u@h\"\n[route.oauth2]\n{grant}[[route.fallback]]\n\
         url = \"smtp://u@i\"\n[route.fallback.oauth2]\n{grant}"
    );
    let file = |hop: &RouteSettings| match &hop.token {
        Some(TokenSource::Grant(grant)) => grant.file.display().to_string(),
        other => panic!("{other:?}"),
    };
    let files: Vec<_> = routes(&text)[0].hops.iter().map(file).collect();
    assert_eq!(files, ["/s/routes/m.token", "/s/routes/m.1.token"]);
    let shared = format!("{text}keep_in = \"/s/routes/m.token\"\nscope = \"x\"\n");
    let reason = checked(&shared).unwrap_err();
    assert!(reason.contains("route[0].fallback[0].oauth2 and route[0].oauth2 keep different tokens"), "{reason}");
}

#[test]
fn a_token_of_a_route_is_read_where_it_says() {
    let plans = routes("[[route]]\nname = \"m\"\nurl = \"smtp://u@h\"\ntoken_file = \"/run/t\"\n");
    assert_eq!(plans[0].hops[0].token, Some(TokenSource::Secret(SecretSource::File("/run/t".into()))));
}

#[test]
fn a_relay_of_the_command_line_is_for_all_mail() {
    let text = "[relay]\npreset = \"microsoft365\"\nuser = \"a@b\"\npassword_env = \"P\"\nmax_size = \"1MB\"\n\
                source = \"::1\"\n[[relay.fallback]]\nurl = \"smtp://i\"\n[[route]]\nname = \"m\"\nurl = \"smtp://h\"\nsenders = [\"@a.b\"]\n\
                [[rewrite]]\nroutes = [\"m\"]\nfrom = \"x@y\"\n[[rewrite]]\nroutes = [\"m\", \"relay\"]\nfrom = \"z@y\"\n";
    let mut config = checked(text).unwrap();
    config.relay_to("maildir:./here".parse().unwrap());
    assert_eq!(config.check(), Ok(()));
    let [relay] = &config.routes()[..] else { panic!("one route") };
    assert_eq!((urls(relay).as_str(), relay.pace), ("maildir:./here", None));
    assert_eq!((relay.hops[0].password.clone(), relay.hops[0].max_size), (None, None));
    assert_eq!(relay.hops[0].source, None);
    let [rewriting] = &config.rewritings()[..] else { panic!("one rewriting") };
    assert_eq!((rewriting.routes.join(" "), rewriting.from.clone()), ("relay".to_owned(), "z@y".parse().ok()));
    config.relay_to("smtp://u@h".parse().unwrap());
    assert!(config.check().unwrap_err().to_string().starts_with("leafmail.toml: relay.url names the user"));
}

#[test]
fn what_has_no_place_is_told_where_it_belongs() {
    for (text, expected) in [
        ("[relay]\nname = \"x\"", "leafmail.toml:2: relay.name is set, but [relay] is the last route, which takes"),
        ("[relay]\nsenders = [\"@a.b\"]", "leafmail.toml:2: relay.senders is set, but [relay] is the last route"),
        ("[relay]\nclients = [\"10.0.0.1\"]", "leafmail.toml:2: relay.clients is set, but"),
        ("[relay]\nlogins = [\"a\"]", "leafmail.toml:2: relay.logins is set, but"),
        ("[relay]\nrecipients = [\"a@b\"]", "leafmail.toml:2: relay.recipients is set, but"),
        (
            "[relay]\nurl = \"smtp://h\"\n[[relay.fallback]]\nurl = \"smtp://i\"\npace = \"1/s\"",
            "leafmail.toml:5: relay.fallback[0].pace is set, but that is a matter of the whole route; set relay.pace",
        ),
        (
            "[[route]]\nname = \"a\"\nurl = \"smtp://h\"\n[[route.fallback]]\nurl = \"smtp://i\"\n[[route.fallback.fallback]]",
            "leafmail.toml:6: route[0].fallback[0].fallback is set",
        ),
        (
            "[[route]]\nname = \"a\"\nurl = \"smtp://h\"\n[[route.fallback]]\nurl = \"smtp://i\"\nname = \"x\"",
            "leafmail.toml:6: route[0].fallback[0].name is set",
        ),
        (
            "[[route]]\nname = \"a\"\nurl = \"smtp://h\"\n[[route.fallback]]\nurl = \"smtp://i\"\nsenders = [\"@a\"]",
            "leafmail.toml:6: route[0].fallback[0].senders is set",
        ),
        (
            "[relay]\nconnections = 2\n[[route]]\nname = \"a\"\nurl = \"smtp://h\"",
            "leafmail.toml:1: [relay] has neither",
        ),
        ("[[relay.fallback]]\nurl = \"smtp://h\"", "leafmail.toml:1: [[relay.fallback]] is there, but relay.url and"),
    ] {
        let reason = checked(text).expect_err(text);
        assert!(reason.starts_with(expected), "{text}: {reason}");
    }
}

#[test]
fn each_route_has_a_name_of_its_own() {
    let route = |name: &str| format!("[[route]]\nname = \"{name}\"\nurl = \"smtp://h\"\nsenders = [\"@a\"]\n");
    for (text, expected) in [
        ("[[route]]\nurl = \"smtp://h\"".to_owned(), "leafmail.toml:1: route[0].name is missing"),
        (route("relay"), "leafmail.toml:2: route[0].name is \"relay\", which is the name of [relay]; choose another"),
        (
            route("a") + &route("A"),
            "leafmail.toml:6: route[1].name is \"A\", which is the name of route[0] already; choose another",
        ),
        (route(""), "leafmail.toml:2: expected a name of 1 to 40 letters, digits, - and _, but found an empty text"),
        (route("alarms"), "leafmail.toml:2: expected another name, as a state of another kind"),
        (route("a/b"), "leafmail.toml:2: expected a name of 1 to 40 letters, digits, - and _, but found \"a/b\""),
        (route("bücher"), "leafmail.toml:2: expected a name of 1 to 40 letters"),
        (route(&"x".repeat(41)), "leafmail.toml:2: expected a name of 1 to 40 letters"),
        ("[route]\nname = \"x\"".to_owned(), "leafmail.toml:1: expected a heading in two brackets, [[route]]"),
        ("[[route]]\nnmae = \"x\"".to_owned(), "leafmail.toml:2: unknown key \"nmae\"; did you mean \"name\"?"),
    ] {
        let reason = checked(&text).expect_err(&text);
        assert!(reason.starts_with(expected), "{text}: {reason}");
    }
    assert_eq!(table(&(route(&"x".repeat(40)) + "[relay]\nurl = \"smtp://r\"")).lines().count(), 2);
}

#[test]
fn each_next_hop_leads_somewhere_and_only_there() {
    for (text, expected) in [
        ("[[route]]\nname = \"a\"", "leafmail.toml:1: route[0] says not where to; set route[0].url or route[0].preset"),
        (
            "[relay]\nurl = \"smtp://h\"\n[[relay.fallback]]\nconnections = 1",
            "leafmail.toml:3: relay.fallback[0] says not where to; set relay.fallback[0].url or relay.fallback[0].preset",
        ),
        (
            "[relay]\nurl = \"smtp://h\"\npreset = \"gmail\"",
            "leafmail.toml:3: relay.preset and relay.url are both set; keep one of them",
        ),
        ("[relay]\npreset = \"gmail\"", "leafmail.toml:2: relay.preset is set, but relay.user is missing"),
        (
            "[relay]\npreset = \"hotmail\"",
            "leafmail.toml:2: expected microsoft365, gmail or ses, but found \"hotmail\"",
        ),
        (
            "[relay]\nuser = \"u\"\nurl = \"smtp://h\"",
            "leafmail.toml:2: relay.user is set, but without relay.preset the user belongs into relay.url",
        ),
        (
            "[relay]\nuser = \"u\"\npreset = \"ses\"",
            "leafmail.toml:3: relay.preset is \"ses\", but relay.region is missing",
        ),
        (
            "[relay]\nuser = \"u\"\npreset = \"gmail\"\nregion = \"eu-west-1\"",
            "leafmail.toml:4: relay.region is set, but only relay.preset = \"ses\" has regions",
        ),
        (
            "[relay]\nregion = \"eu.west\"",
            "leafmail.toml:2: expected a region such as eu-west-1, but found \"eu.west\"",
        ),
        ("[relay]\nregion = \"-a\"", "leafmail.toml:2: expected a region"),
        ("[relay]\nsource = \"lan\"", "leafmail.toml:2: expected an address of this host such as 192.0.2.7, but found"),
        ("[relay]\nsource = \"0.0.0.0\"", "leafmail.toml:2: expected an address of this host"),
        (
            "[relay]\nsource = \"192.0.2.7\"",
            "leafmail.toml:2: relay.source is set, but no connection goes to this next hop",
        ),
        ("[relay]\nuser = \"a\\nb\"", "leafmail.toml:2: expected a user name such as alerts@example.com"),
        ("[relay]\npace = \"25\"", "leafmail.toml:2: expected a number and a time, such as 25/m"),
        ("[relay]\npace = \"0/m\"", "leafmail.toml:2: expected 1 to 100000 in 1s to 30d, but found \"0/m\""),
        ("[relay]\npace = \"1/31d\"", "leafmail.toml:2: expected 1 to 100000 in 1s to 30d"),
        ("[relay]\npace = \"100001/d\"", "leafmail.toml:2: expected 1 to 100000 in 1s to 30d"),
        ("[relay]\nmax_size = \"1kB\"", "leafmail.toml:2: expected a size from 64KiB to 2GB"),
        ("[relay]\nconnections = 0", "leafmail.toml:2: expected a whole number from 1 to 100, but found the number 0"),
        ("[relay]\nip = \"ipv4\"", "leafmail.toml:2: expected 4, 6 or any, in quotes, but found"),
        ("[relay]\nrecipients_per_message = 0", "leafmail.toml:2: expected a whole number from 1 to 10000"),
        ("[relay]\nrecipients_per_message = \"many\"", "leafmail.toml:2: expected a whole number from 1 to 10000"),
        ("[relay]\nmessages_per_connection = 10001", "leafmail.toml:2: expected a whole number from 1 to 10000"),
        ("[[route]]\nlogins = []", "leafmail.toml:2: expected a list with at least one entry, but found an empty one"),
        ("[[route]]\nlogins = [\n\"a\", \"\"]", "leafmail.toml:3: expected a text that is not empty"),
        ("[[route]]\n[route.timeouts]\ndata = \"2h\"", "leafmail.toml:3: expected a duration from 1s to 1h"),
    ] {
        let reason = checked(text).expect_err(text);
        assert!(reason.starts_with(expected), "{text}: {reason}");
    }
}

#[test]
fn mx_networks_belong_to_a_next_hop_that_is_mx() {
    let networks = "mx_networks = [\"10.0.0.0/8\", \"::ffff:192.168.1.0/120\", \"::1\"]\n";
    let hop = |text: &str| routes(text)[0].hops.last().unwrap().mx_networks.clone();
    let expected = ["10.0.0.0/8", "192.168.1.0/24", "::1/128"].map(|network| network.parse().unwrap());
    let fallback = format!("[relay]\nurl = \"smtp://h\"\n[[relay.fallback]]\nurl = \"mx:\"\n{networks}");
    for text in [format!("[relay]\nurl = \"mx:\"\n{networks}"), fallback] {
        assert_eq!(hop(&text), expected, "{text}");
    }
    assert!(hop("[relay]\nurl = \"mx:\"\n").is_empty());
    for (url, place) in [("smtp://h", "relay"), ("maildir:./x", "relay"), ("mx:", "relay.fallback[0]")] {
        let heading = if place == "relay" { "" } else { "[[relay.fallback]]\nurl = \"smtp://h\"\n" };
        let text = format!("[relay]\nurl = \"{url}\"\n{heading}{networks}");
        let expected = format!("{place}.mx_networks is set, but only a next hop with url = \"mx:\"");
        let reason = checked(&text).expect_err(&text);
        assert!(reason.contains(&expected), "{text}: {reason}");
    }
    let mut config = checked(&format!("[relay]\nurl = \"mx:\"\n{networks}")).unwrap();
    config.relay_to("smtp://elsewhere".parse().unwrap());
    assert_eq!(config.check().map_err(|error| error.to_string()), Ok(()));
}

#[test]
fn no_route_is_left_without_mail() {
    let all = "[[route]]\nname = \"all\"\nurl = \"smtp://h\"\n";
    let some = "[[route]]\nname = \"some\"\nurl = \"smtp://h\"\nsenders = [\"@a\"]\n";
    for (text, expected) in [
        (format!("{all}{some}"), "leafmail.toml:1: route[0] (all) has no senders, recipients, clients or logins, so"),
        (format!("[relay]\nurl = \"smtp://h\"\n{some}{all}"), "leafmail.toml:7: route[1] (all) has no senders"),
    ] {
        let reason = checked(&text).expect_err(&text);
        assert!(reason.starts_with(expected), "{text}: {reason}");
    }
}

#[test]
fn the_credentials_of_each_next_hop_are_looked_at() {
    let first = "[[route]]\nname = \"a\"\nurl = \"smtp://h\"\nsenders = [\"@a\"]\n[[route]]\nname = \"b\"\n";
    for (text, expected) in [
        (
            "url = \"smtp://u@h\"\n",
            "leafmail.toml:7: route[1].url names the user \"u\", but there is no password; set route[1].password_file, ",
        ),
        (
            "url = \"smtp://h\"\npassword_file = \"p\"",
            "leafmail.toml:8: route[1].password_file is set, but route[1].url",
        ),
        (
            "user = \"u\"\npreset = \"gmail\"\n",
            "leafmail.toml:7: route[1].user names the user \"u\", but there is no password",
        ),
        (
            "url = \"smtp://h\"\n[[route.fallback]]\nurl = \"smtp://u@h\"\ntoken_file = \"t\"\npassword_env = \"p\"",
            "leafmail.toml:10: route[1].fallback[0].password_env and route[1].fallback[0].token_file are both set",
        ),
        (
            "url = \"smtp://h\"\n[[route.fallback]]\nurl = \"smtp://h\"\ntls_cert = \"c\"",
            "leafmail.toml:10: route[1].fallback[0].tls_cert is set, but route[1].fallback[0].tls_key is not",
        ),
        (
            "url = \"smtp://h\"\n[route.oauth2]\nscope = \"s\"",
            "leafmail.toml:9: route[1].oauth2.token_url is missing, without which nothing here is used",
        ),
    ] {
        let reason = checked(&format!("{first}{text}")).expect_err(text);
        assert!(reason.starts_with(expected), "{text}: {reason}");
    }
}

#[test]
fn the_files_of_each_next_hop_are_looked_at() {
    let text = "[[route]]\nname = \"a\"\nurl = \"smtp://u@h\"\npassword_env = \"P\"\n[[route.fallback]]\n\
                url = \"smtp://u@h\"\npassword_file = \"/nowhere/p\"\n[aliases]\nfile = \"/nowhere/a\"\n";
    let reason = |text: &str| checked(text).unwrap().check_files().unwrap_err().to_string();
    assert!(reason(text).starts_with("leafmail.toml:7: route[0].fallback[0].password_file: "), "{}", reason(text));
    let aliases = text.replace("password_file = \"/nowhere/p\"", "password_env = \"Q\"");
    assert!(
        reason(&aliases).starts_with("leafmail.toml:9: aliases.file: reading /nowhere/a: "),
        "{}",
        reason(&aliases)
    );
}
