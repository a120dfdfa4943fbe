//! The executables for arm64 that are built of each Go release.

/// One test an executable, by `$check(version, mode)`.
macro_rules! arm64_cells {
    ($check:ident) => {
        arm64_cells! { $check;
            go1_18_static: "1.18.10", "arm64-static";
            go1_18_pie: "1.18.10", "arm64-pie";
            go1_19_static: "1.19.13", "arm64-static";
            go1_19_pie: "1.19.13", "arm64-pie";
            go1_20_static: "1.20.14", "arm64-static";
            go1_20_pie: "1.20.14", "arm64-pie";
            go1_21_static: "1.21.13", "arm64-static";
            go1_21_pie: "1.21.13", "arm64-pie";
            go1_22_static: "1.22.12", "arm64-static";
            go1_22_pie: "1.22.12", "arm64-pie";
            go1_23_0_static: "1.23.0", "arm64-static";
            go1_23_0_pie: "1.23.0", "arm64-pie";
            go1_23_static: "1.23.12", "arm64-static";
            go1_23_pie: "1.23.12", "arm64-pie";
            go1_24_0_static: "1.24.0", "arm64-static";
            go1_24_0_pie: "1.24.0", "arm64-pie";
            go1_24_static: "1.24.13", "arm64-static";
            go1_24_pie: "1.24.13", "arm64-pie";
            go1_25_static: "1.25.14", "arm64-static";
            go1_25_pie: "1.25.14", "arm64-pie";
            go1_26_static: "1.26.11", "arm64-static";
            go1_26_pie: "1.26.11", "arm64-pie";
            go1_27_static: "1.27.4", "arm64-static";
            go1_27_pie: "1.27.4", "arm64-pie";
        }
    };
    ($check:ident; $($name:ident: $version:literal, $mode:literal;)*) => {
        $(#[test] fn $name() { $check($version, $mode); })*
    };
}
