//! What is refused before anybody asks who sent it: requests of a wrong form, for another host, or from another site.
//!
//! The loopback is no border for a browser: a page of any site can send requests there (DNS rebinding, forged forms). So the
//! host must be one of ours, and what changes something must come from a page of ours or from no browser at all.

use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderMap, ORIGIN, TRANSFER_ENCODING};
use hyper::{Method, StatusCode, Uri, Version};
use percent_encoding::percent_decode_str;

/// Octets of a path with its query.
const MOST_URI: usize = 8 * 1024;
/// Names of this host that no name server is asked for.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Why a request is refused.
pub(super) type Refusal = (StatusCode, &'static str);

/// Checks the form of a request, and returns the decoded segments of its path.
pub(super) fn segments(uri: &Uri) -> Result<Vec<String>, Refusal> {
    let malformed = |why| (StatusCode::BAD_REQUEST, why);
    if uri.scheme().is_some() || uri.authority().is_some() {
        return Err(malformed("this is no proxy: the target must be a path"));
    }
    if uri.path_and_query().is_none_or(|whole| whole.as_str().len() > MOST_URI) {
        return Err((StatusCode::URI_TOO_LONG, "the target is too long"));
    }
    let path = uri.path().strip_prefix('/').ok_or(malformed("the target must begin with a slash"))?;
    let mut segments = Vec::new();
    for part in path.split('/') {
        let decoded = percent_decode_str(part).decode_utf8().map_err(|_| malformed("the path is no UTF-8"))?;
        let is_odd = |c: char| c == '/' || c == '\\' || c.is_control();
        if decoded == "." || decoded == ".." || decoded.contains(is_odd) {
            return Err(malformed("the path has a segment that no path of this page has"));
        }
        segments.push(decoded.into_owned());
    }
    Ok(segments)
}

/// Checks what the headers say of the message itself, so that nobody reads its length in two ways.
pub(super) fn framing(method: &Method, version: Version, headers: &HeaderMap) -> Result<(), Refusal> {
    if ![Method::GET, Method::HEAD, Method::POST].contains(method) {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "only GET, HEAD and POST are known here"));
    }
    let bad = |why| Err((StatusCode::BAD_REQUEST, why));
    let (lengths, codings) = (headers.get_all(CONTENT_LENGTH), headers.get_all(TRANSFER_ENCODING));
    let is_chunked = codings.iter().next().is_some();
    if (is_chunked && lengths.iter().next().is_some()) || lengths.iter().count() > 1 || codings.iter().count() > 1 {
        return bad("the request has two lengths");
    }
    if is_chunked && version < Version::HTTP_11 {
        return bad("HTTP/1.0 has no chunks");
    }
    let has_content = is_chunked || lengths.iter().any(|length| length.as_bytes() != b"0");
    if *method != Method::POST && has_content {
        return bad("a request of this method has no content");
    }
    Ok(())
}

/// Checks that the host is one of ours; `hosts` are further names. Returns it.
pub(super) fn host<'h>(headers: &'h HeaderMap, hosts: &[String]) -> Result<&'h str, Refusal> {
    let mut named = headers.get_all(HOST).iter();
    let (Some(host), None) = (named.next(), named.next()) else {
        return Err((StatusCode::BAD_REQUEST, "the request must name one host"));
    };
    let misdirected = (StatusCode::MISDIRECTED_REQUEST, "this page is not there under this name: see serve.hosts");
    let host = host.to_str().map_err(|_| misdirected)?;
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|octet| octet.is_ascii_digit()) => name,
        _ => host,
    };
    let is_ours = LOOPBACK.iter().copied().chain(hosts.iter().map(String::as_str));
    if is_ours.into_iter().any(|ours| ours.eq_ignore_ascii_case(name)) { Ok(host) } else { Err(misdirected) }
}

/// Checks where a request comes from. A bearer token is never sent by a browser on its own.
pub(super) fn origin(method: &Method, headers: &HeaderMap, host: &str, is_tls: bool) -> Result<(), Refusal> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let is_bearer = headers
        .get(AUTHORIZATION)
        .is_some_and(|value| value.as_bytes().get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer ")));
    if is_bearer {
        return Ok(());
    }
    let refused = Err((StatusCode::FORBIDDEN, "the request comes from another site"));
    let site = text("sec-fetch-site");
    if matches!(*method, Method::GET | Method::HEAD) {
        // A link from elsewhere is followed; nothing else from there is answered.
        let is_foreign = site.is_some_and(|site| site != "same-origin" && site != "none");
        let is_visit = text("sec-fetch-mode") == Some("navigate") && text("sec-fetch-dest") == Some("document");
        return if is_foreign && !is_visit { refused } else { Ok(()) };
    }
    match (site, headers.get(ORIGIN)) {
        (Some("same-origin" | "none"), _) | (None, None) => Ok(()),
        (Some(_), _) => refused,
        (None, Some(origin)) => {
            let own = format!("{}://{host}", if is_tls { "https" } else { "http" });
            if origin.as_bytes().eq_ignore_ascii_case(own.as_bytes()) { Ok(()) } else { refused }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn a_path_has_no_way_up_and_is_no_other_host() {
        let code = |uri: &str| segments(&uri.parse().unwrap()).map_err(|(status, _)| status.as_u16());
        assert_eq!(code("/queue/a%20b?x=1"), Ok(vec!["queue".to_owned(), "a b".to_owned()]));
        for wrong in ["/../etc/passwd", "/%2e%2e/x", "/a%2fb", "/a%5cb", "/a%00b", "/%ff", "http://other/", "*"] {
            assert_eq!(code(wrong), Err(400), "{wrong}");
        }
        assert_eq!(code(&format!("/{}", "a".repeat(9_000))), Err(414));
    }

    #[test]
    fn only_names_of_this_host_are_answered() {
        let hosts = ["mail.example".to_owned()];
        let code = |pairs: &[(&'static str, &str)]| {
            host(&headers(pairs), &hosts).map_err(|(status, _)| status.as_u16()).map(str::to_owned)
        };
        for ours in ["localhost", "LOCALHOST:8025", "127.0.0.1:1", "[::1]", "[::1]:8025", "mail.example"] {
            assert_eq!(code(&[("host", ours)]), Ok(ours.to_owned()));
        }
        for other in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "localhost:x"] {
            assert_eq!(code(&[("host", other)]), Err(421), "{other}");
        }
        assert_eq!(code(&[]), Err(400));
        assert_eq!(code(&[("host", "localhost"), ("host", "evil.example")]), Err(400));
    }

    #[test]
    fn what_changes_something_comes_from_our_own_page_or_from_no_browser() {
        let may = |method: Method, pairs: &[(&'static str, &str)]| {
            origin(&method, &headers(pairs), "localhost:8025", false).is_ok()
        };
        let post = |pairs: &[(&'static str, &str)]| may(Method::POST, pairs);
        assert!(post(&[]) && post(&[("sec-fetch-site", "same-origin")]) && post(&[("sec-fetch-site", "none")]));
        assert!(post(&[("origin", "http://localhost:8025")]));
        assert!(!post(&[("sec-fetch-site", "cross-site")]) && !post(&[("sec-fetch-site", "same-site")]));
        assert!(!post(&[("origin", "http://localhost:3000")]) && !post(&[("origin", "null")]));
        assert!(!post(&[("sec-fetch-site", "cross-site"), ("origin", "http://localhost:8025")]));
        // A password that the browser sends on its own is no proof; a bearer token is.
        assert!(!post(&[("sec-fetch-site", "cross-site"), ("authorization", "Basic eDp5")]));
        assert!(post(&[("sec-fetch-site", "cross-site"), ("authorization", "Bearer leafmail_x")]));
        let visit = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        assert!(may(Method::GET, &visit));
        assert!(!may(Method::GET, &visit[..2]) && !may(Method::GET, &visit[..1]));
    }

    #[test]
    fn nobody_reads_a_length_in_two_ways() {
        let is_fit = |method: Method, pairs: &[(&'static str, &str)]| {
            framing(&method, Version::HTTP_11, &headers(pairs)).is_ok()
        };
        assert!(is_fit(Method::POST, &[("content-length", "3")]) && is_fit(Method::GET, &[]));
        assert!(!is_fit(Method::POST, &[("content-length", "3"), ("transfer-encoding", "chunked")]));
        assert!(!is_fit(Method::POST, &[("content-length", "3"), ("content-length", "3")]));
        assert!(!is_fit(Method::GET, &[("content-length", "3")]) && !is_fit(Method::DELETE, &[]));
    }
}
