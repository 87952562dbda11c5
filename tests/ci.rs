//! `examples/ci`: the scripts are run, and what the workflows say of them is so.

use std::path::Path;
use std::process::{Command, Output};

use serde_yaml_ng::Value;

fn example(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/ci")
        .join(name)
}

fn script(dir: &Path, name: &str, signing: Option<&str>) -> Output {
    let mut command = Command::new("bash");
    command
        .arg(example(name))
        .current_dir(dir)
        .env("BMCTL", env!("CARGO_BIN_EXE_bmctl"))
        .env("BMCTL_KEY", "07".repeat(32))
        .env("BMCTL_PLAN_ARGS", "--sim seed=7")
        .env("BMCTL_VERIFY_ARGS", "--sim")
        .env("GITHUB_RUN_ID", "4711")
        .env_remove("SIGNING_KEY");
    if let Some(key) = signing {
        command.env("SIGNING_KEY", key);
    }
    command.output().unwrap()
}

#[test]
fn the_scripts_plan_review_and_apply() {
    let dir = tempfile::tempdir().unwrap();
    let bmctl = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bmctl"));
        command
            .args(args)
            .current_dir(dir.path())
            .env("BMCTL_KEY", "07".repeat(32));
        command.output().unwrap()
    };
    let public = String::from_utf8(bmctl(&["keygen", "plan.key"]).stdout).unwrap();
    let main = format!(
        "bmctl {{\n  trusted_keys = [\"{}\"]\n}}\n\nnetwork \"pxe\" {{\n  cidr = \"10.99.0.0/24\"\n}}\n\nflavor \"small\" {{\n  cpus      = 1\n  memory_mb = 512\n  root_gb   = 4\n}}\n",
        public.trim()
    );
    std::fs::write(dir.path().join("main.hcl"), main).unwrap();
    let told = |out: &Output| {
        format!(
            "{}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        )
    };
    let unsigned = script(dir.path(), "plan.sh", None);
    assert_eq!(unsigned.status.code(), Some(0), "{}", told(&unsigned));
    assert_eq!(
        script(dir.path(), "apply.sh", None).status.code(),
        Some(7),
        "an unsigned plan"
    );
    let planned = script(dir.path(), "plan.sh", Some("plan.key"));
    assert_eq!(planned.status.code(), Some(0), "{}", told(&planned));
    assert!(told(&planned).contains("changes: see plan.md"));
    for file in ["plan.bmctl", "plan.md", "plan.html", "plan.jsonl"] {
        assert!(
            dir.path().join(file).metadata().unwrap().len() > 100,
            "{file}"
        );
    }
    let applied = script(dir.path(), "apply.sh", None);
    assert_eq!(applied.status.code(), Some(0), "{}", told(&applied));
    let again = script(dir.path(), "apply.sh", None);
    assert_eq!(
        again.status.code(),
        Some(5),
        "the same plan twice: {}",
        told(&again)
    );
    let nothing = script(dir.path(), "plan.sh", Some("plan.key"));
    assert!(
        told(&nothing).contains("nothing to do"),
        "{}",
        told(&nothing)
    );
}

/// The workflows are YAML, and run the scripts and nothing that does the same again.
#[test]
fn the_workflows_run_the_scripts() {
    for name in ["github/bmctl.yml", "gitlab/.gitlab-ci.yml"] {
        let text = std::fs::read_to_string(example(name)).unwrap();
        let yaml: Value = serde_yaml_ng::from_str(&text).unwrap();
        let jobs = if name.starts_with("github") {
            &yaml["jobs"]
        } else {
            &yaml
        };
        for job in ["plan", "apply"] {
            let job_text = serde_yaml_ng::to_string(&jobs[job]).unwrap();
            assert!(
                job_text.contains(&format!("examples/ci/{job}.sh")),
                "{name}: {job}"
            );
            assert!(
                job_text.contains("rack"),
                "{name}: {job} runs where the BMCs are"
            );
        }
        assert!(
            !text.contains("bmctl apply") && !text.contains("auto-approve"),
            "{name}"
        );
    }
}
