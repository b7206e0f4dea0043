//! Which images are the injected agent's.

use super::parameters::Agent;

impl Agent {
    /// Whether a container's image is the agent's, of this revision or of an accepted one: as it is written in the settings, or with the
    /// digest that a resolver found for it. Where the settings pin a digest, only that one is.
    #[must_use]
    pub fn is_image(&self, image: &str) -> bool {
        self.is_own_image(image) || self.accepted_images.iter().any(|listed| is_same(image, listed))
    }

    /// Whether it is this revision's.
    #[must_use]
    pub fn is_own_image(&self, image: &str) -> bool {
        is_same(image, &self.image)
    }
}

fn is_same(image: &str, listed: &str) -> bool {
    let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    image.strip_prefix(listed).is_some_and(|rest| {
        rest.is_empty() || (!listed.is_empty() && !listed.contains('@') && rest.strip_prefix("@sha256:").is_some_and(is_digest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_with_the_digest_that_a_resolver_found() {
        let digest = format!("@sha256:{}", "0a".repeat(32));
        let with = |image: &str| format!("{image}{digest}");
        let agent = Agent { image: "hashicorp/vault:1.15".into(), accepted_images: vec!["mirror/vault:1.14".into()], ..Agent::default() };
        for image in
            ["hashicorp/vault:1.15".to_owned(), "mirror/vault:1.14".into(), with("hashicorp/vault:1.15"), with("mirror/vault:1.14")]
        {
            assert!(agent.is_image(&image), "{image}");
        }
        for image in [
            "hashicorp/vault:1.16".to_owned(),
            "hashicorp/vault:1.150".into(),
            "hashicorp/vault:1.15@sha256:0a".into(),
            format!("hashicorp/vault:1.15@sha256:{}", "0A".repeat(32)),
            format!("hashicorp/vault:1.15{digest}{digest}"),
            with("evil/vault:1.15"),
        ] {
            assert!(!agent.is_image(&image), "{image}");
        }
        let pinned = Agent { image: with("hashicorp/vault:1.15"), ..Agent::default() };
        assert!(pinned.is_image(&with("hashicorp/vault:1.15")) && !pinned.is_image("hashicorp/vault:1.15"));
        assert!(!pinned.is_image(&format!("hashicorp/vault:1.15{digest}@sha256:{}", "0b".repeat(32))));
    }
}
