//! The cases that cannot be sent: each by its name, with the API server's reason. What stands here is proven by `tests/cases` alone.

/// Name of the case, and a part of what the API server says of it.
const UNSENT: &[(&str, &str)] = &[];

/// What differs between the list and what was not sent, each as `NAME: REASON`.
pub(super) fn differences(unsent: &[String]) -> Vec<String> {
    let is = |line: &str, (name, reason): (&str, &str)| {
        line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).is_some_and(|said| said.contains(reason))
    };
    let new = unsent.iter().filter(|line| !UNSENT.iter().any(|listed| is(line, *listed)));
    let new = new.map(|line| format!("not sent, and not listed: {line}"));
    let gone = UNSENT.iter().filter(|listed| !unsent.iter().any(|line| is(line, **listed)));
    new.chain(gone.map(|(name, reason)| format!("listed, and not refused so: {name}: {reason}"))).collect()
}
