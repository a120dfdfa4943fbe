//! Compiles the eBPF programs in `probes/` with clang; `src/probes/load.rs` embeds the result.

use std::env;
use std::error::Error;
use std::path::Path;
use std::process::Command;

const PROGRAMS: &[&str] = &["sched"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=probes");
    println!("cargo::rerun-if-env-changed=CLANG");
    let out = env::var("OUT_DIR")?;
    for name in PROGRAMS {
        compile(&format!("probes/{name}.bpf.c"), &Path::new(&out).join(format!("{name}.bpf.o")))?;
    }
    Ok(())
}

/// The loader wants BTF (-g) and takes maps, licence and relocations from the object as clang writes it.
fn compile(source: &str, object: &Path) -> Result<(), Box<dyn Error>> {
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let status = Command::new(&clang)
        .args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-D__TARGET_ARCH_x86", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function"])
        .args(["-c", source, "-o"])
        .arg(object)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(format!("{clang} could not compile {source} for BPF; it must be clang 12 or newer with the BPF target").into()),
        Err(error) => Err(format!(
            "cannot run {clang}: {error}. goscope's probes are compiled by clang: install it (apt-get install clang, dnf install clang), \
             or name it with CLANG=/path/to/clang"
        )
        .into()),
    }
}
