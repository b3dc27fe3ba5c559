//! Who may write to a list, what it refuses, and what its fields say.

use super::*;

fn list(post: Post) -> MailingList {
    let address: Mailbox = "Staff@example.lan".parse().unwrap();
    MailingList {
        members: Members::fixed(vec!["ann@example.com".parse().unwrap(), "bob@example.com".parse().unwrap()]),
        post,
        bounces: MailingList::default_address(&address, "bounces").unwrap(),
        owner: MailingList::default_address(&address, "owner").unwrap(),
        verp: false,
        max_size: Some(1_000),
        from: ListFrom::Keep,
        expn: false,
        address,
    }
}

fn refuses(list: &MailingList, sender: &str, size: Option<u64>) -> Option<ListRefusal> {
    list.refuses(&ReversePath::parse(sender, None).unwrap(), size).unwrap()
}

#[test]
fn who_may_write_is_judged_by_the_envelope_and_notifications_never_get_in() {
    let only = Post::Only(vec!["@boss.example".parse().unwrap()]);
    for (post, sender, expected) in [
        (Post::Members, "ANN@example.com", None),
        (Post::Members, "eve@example.com", Some(ListRefusal::MayNotPost)),
        (Post::Anyone, "eve@example.com", None),
        (Post::Anyone, "", Some(ListRefusal::Notification)),
        (only.clone(), "x@boss.example", None),
        (only, "ann@example.com", Some(ListRefusal::MayNotPost)),
    ] {
        assert_eq!(refuses(&list(post), sender, None), expected, "{sender}");
    }
    let list = list(Post::Anyone);
    assert_eq!(refuses(&list, "a@b", Some(1_000)), None);
    assert_eq!(refuses(&list, "a@b", Some(1_001)), Some(ListRefusal::TooLarge(1_000)));
}

#[test]
fn its_own_copies_and_the_mail_of_programs_are_known_by_their_header() {
    let list = list(Post::Anyone);
    for (name, body, expected) in [
        ("list-id", " Our staff <STAFF.example.lan>", Some(ListRefusal::Loop)),
        ("List-Id", "staff.example.lan", Some(ListRefusal::Loop)),
        ("List-Id", " <others.example.lan>", None),
        ("Auto-Submitted", " auto-replied (vacation)", Some(ListRefusal::Automatic)),
        ("auto-submitted", " NO; x=y", None),
        ("Auto-Submitted", "", Some(ListRefusal::Automatic)),
        ("Subject", " auto-replied", None),
    ] {
        let found = list.refuses_header([("From", &b" a"[..]), (name, body.as_bytes())].into_iter());
        assert_eq!(found, expected, "{name}:{body}");
    }
}

#[test]
fn fields_are_in_ascii_whatever_the_address_is() {
    let fields = list(Post::Members).fields();
    assert_eq!(
        fields.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>(),
        [
            "List-Id: <staff.example.lan>",
            "List-Post: <mailto:Staff@example.lan>",
            "List-Help: <mailto:Staff-owner@example.lan?subject=help%20Staff>",
            "List-Unsubscribe: <mailto:Staff-owner@example.lan?subject=unsubscribe%20Staff>",
            "Precedence: list",
        ]
    );
    let odd = MailingList { address: "\"a>b c\"@example.lan".parse().unwrap(), ..list(Post::Only(Vec::new())) };
    let text: String = odd.fields().into_iter().map(|(_, value)| value).collect();
    assert!(text.starts_with("<a-b-c.example.lan>NO<mailto:") && text.is_ascii() && !text.contains(' '), "{text}");
}

#[test]
fn the_sender_of_a_copy_names_its_recipient() {
    let bounces: Mailbox = "staff-bounces@example.lan".parse().unwrap();
    for (member, expected) in [
        ("ann@example.com", "staff-bounces+ann=example.com@example.lan"),
        ("a+b@x.y", "staff-bounces+a+b=x.y@example.lan"),
        ("\"a b\"@x.y", "staff-bounces@example.lan"),
    ] {
        assert_eq!(verp_sender(&bounces, &member.parse().unwrap()).to_string(), expected);
    }
    let long = format!("{}@x.y", "a".repeat(250)).parse().unwrap();
    assert_eq!(verp_sender(&bounces, &long), bounces);
}
