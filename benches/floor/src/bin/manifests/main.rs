//! Writes Deployments to audit: by default 10,000 of them, 12 MB of YAML in 100 files.
//!
//! - `draw`: a deterministic choice from a Deployment's index
//! - `deployment`: the traits of one Deployment and its YAML
//!
//! The same arguments give the same bytes on every machine, so figures of an audit can be compared over time. What
//! is printed at the end, how many Deployments have which trait, tells what an audit has to find.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Parser;

use crate::deployment::Deployment;

mod deployment;
mod draw;

/// Write Deployments as YAML, the same ones every time.
#[derive(Parser)]
struct Args {
    /// Directory to write to; made if it is not there. Files of an earlier run are overwritten.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Deployments in all.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: u32,
    /// Files to spread them over.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    files: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let out = args.out.display();
    std::fs::create_dir_all(&args.out).map_err(|error| format!("--out {out}: {error}"))?;
    let mut bytes = 0;
    let mut traits = BTreeMap::new();
    for file in 0..args.files {
        let text = documents(&args, file, &mut traits);
        let path = args.out.join(format!("deployments-{file:04}.yaml"));
        std::fs::File::create(&path)
            .and_then(|mut to| to.write_all(text.as_bytes()))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        bytes += text.len();
    }
    println!("{} Deployments, {bytes} bytes in {} files", args.count, args.files);
    for (name, count) in traits {
        println!("{count:7}  {name}");
    }
    Ok(())
}

/// The text of one file. Deployments are dealt out in order, the first files take what does not divide.
fn documents(args: &Args, file: u32, traits: &mut BTreeMap<&'static str, u32>) -> String {
    let (each, rest) = (args.count / args.files, args.count % args.files);
    let first = file * each + file.min(rest);
    let last = first + each + u32::from(file < rest);
    let mut text = String::new();
    for index in first..last {
        let deployment = Deployment::at(index);
        for name in deployment.traits() {
            *traits.entry(name).or_default() += 1;
        }
        if index > first {
            text.push_str("---\n");
        }
        deployment.write(&mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Args, documents};
    use std::collections::{BTreeMap, BTreeSet};

    fn all(count: u32, files: u32) -> (Vec<String>, BTreeMap<&'static str, u32>) {
        let args = Args { out: "unused".into(), count, files };
        let mut traits = BTreeMap::new();
        let texts = (0..files).map(|file| documents(&args, file, &mut traits)).collect();
        (texts, traits)
    }

    #[test]
    fn the_default_set_is_12_mb_and_has_every_trait() {
        let (texts, traits) = all(10_000, 100);
        let bytes: usize = texts.iter().map(String::len).sum();
        assert!((11_800_000..=12_200_000).contains(&bytes), "{bytes} bytes");
        let known: BTreeSet<_> = crate::deployment::TRAITS.iter().map(|(name, _)| *name).collect();
        let drawn: BTreeSet<_> = traits.keys().copied().collect();
        assert_eq!(known, drawn);
    }

    #[test]
    fn every_deployment_is_written_once_under_its_own_name() {
        for (count, files) in [(7, 3), (100, 7), (2, 5)] {
            let (texts, _) = all(count, files);
            let names: BTreeSet<_> = texts.iter().flat_map(|text| text.lines().filter(|line| line.starts_with("  name: "))).collect();
            assert_eq!(names.len(), count as usize, "{count} in {files} files");
        }
    }

    #[test]
    fn how_files_are_cut_changes_no_deployment() {
        let (one, _) = all(50, 1);
        let (many, _) = all(50, 5);
        assert_eq!(one.concat(), many.join("---\n"));
    }
}
