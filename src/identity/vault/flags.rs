//! Flags of Vault's program on a command line: where it connects, and whether it verifies who answers. They win over its variables and
//! its configuration.

use super::super::expansion::Environment;
use super::super::pod::{Container, Word};
use super::access::Access;
use super::{go_true, is_agent};
use crate::settings::Settings;

/// Flags whose value is an address.
const ADDRESSES: [&str; 2] = ["address", "agent-address"];

/// The flag that turns the verification off.
const SKIP: &str = "tls-skip-verify";

/// Characters that a shell takes from the two ends of a word.
const QUOTES: [char; 9] = ['"', '\'', '`', '(', ')', ';', '&', '|', '\\'];

/// Reads the flags of a container. Words of others than Vault's program are theirs, unless the container runs nothing else.
pub(super) fn read<'a>(access: &mut Access<'a>, container: &Container<'a>, environment: &mut Environment<'a>, settings: &Settings) {
    if !container.words().any(may_hold_flag) {
        return;
    }
    let (mut calls, mut awaits_address) = (is_agent(container, settings), false);
    for Word { field, index, text } in &container.words {
        let place = || format!("{}.{field}[{index}]", container.place());
        for part in environment.word(text).split_ascii_whitespace() {
            let part = part.trim_matches(QUOTES);
            if awaits_address {
                awaits_address = false;
                access.address(part, place());
                continue;
            }
            calls |= matches!(part.rsplit('/').next(), Some("vault" | "bao"));
            let Some(flag) = part.strip_prefix('-').filter(|_| calls) else { continue };
            let flag = flag.strip_prefix('-').unwrap_or(flag);
            let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value.trim_matches(QUOTES))));
            if ADDRESSES.contains(&name) {
                match value {
                    Some(address) => access.address(address, place()),
                    None => awaits_address = true,
                }
            } else if name == SKIP && value.is_none_or(|value| go_true(value) || value.contains('$')) {
                access.unverified(SKIP, place());
            }
        }
    }
}

/// Whether one of the flags may stand in a word, as hardly any has one. A reference may bring one.
fn may_hold_flag(word: &str) -> bool {
    let word = word.as_bytes();
    word.windows(2).enumerate().any(|(start, pair)| {
        let begins = |flag: &str| word.get(start + 1..).is_some_and(|rest| rest.starts_with(flag.as_bytes()));
        match pair {
            b"-a" => ADDRESSES.into_iter().any(begins),
            b"-t" => begins(SKIP),
            pair => pair == b"$(",
        }
    })
}
