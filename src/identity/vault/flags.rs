//! Flags of Vault's program on a command line: where it connects, and whether it verifies who answers. They win over its variables and
//! its configuration.

use super::super::expansion::Environment;
use super::access::Access;
use super::go_true;
use crate::object::Node;

/// Flags whose value is an address.
const ADDRESSES: [&str; 2] = ["address", "agent-address"];

/// The flag that turns the verification off.
const SKIP: &str = "tls-skip-verify";

/// Characters that a shell takes from the two ends of a word.
const QUOTES: [char; 9] = ['"', '\'', '`', '(', ')', ';', '&', '|', '\\'];

/// Reads the flags of a container. Words of others than Vault's program are theirs, unless the container runs nothing else (`is_vaults`).
pub(super) fn read<'a>(
    access: &mut Access<'a>,
    container: Node<'a>,
    environment: &mut Environment<'a>,
    is_vaults: impl FnOnce() -> bool,
    at: &dyn Fn() -> String,
) {
    let words = || {
        let of =
            |field: &'static str| container.list(field).enumerate().filter_map(move |(index, word)| Some((field, index, word.as_str()?)));
        of("command").chain(of("args"))
    };
    // Most command lines have no such flag. A reference may bring one.
    if !words().any(|(_, _, word)| word.contains("address") || word.contains(SKIP) || word.contains("$(")) {
        return;
    }
    let (mut calls, mut awaits_address) = (is_vaults(), false);
    for (field, index, word) in words() {
        let place = || format!("{}.{field}[{index}]", at());
        for part in environment.word(word).split_ascii_whitespace() {
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
