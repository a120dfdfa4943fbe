use std::collections::BTreeMap;

use proptest::prelude::*;
use regex::Regex;

use super::*;

fn of(values: &[&str]) -> Shape {
    let weighted: Vec<(&str, u64)> = values.iter().map(|value| (*value, 1)).collect();
    shape(&weighted)
}

fn made(values: Vec<String>) -> Shape {
    of(&values.iter().map(String::as_str).collect::<Vec<_>>())
}

/// xorshift64*, so that runs are equal.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn text(&mut self, alphabet: &str, length: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..length).map(|_| letters[self.below(letters.len() as u64) as usize]).collect()
    }

    fn hex(&mut self, length: usize) -> String {
        self.text("0123456789abcdef", length)
    }

    fn uuid(&mut self, version: char) -> String {
        let variant = self.text("89ab", 1);
        format!("{}-{}-{version}{}-{variant}{}-{}", self.hex(8), self.hex(4), self.hex(3), self.hex(3), self.hex(12))
    }

    fn suffix(&mut self) -> String {
        self.text("bcdfghjklmnpqrstvwxz2456789", 5)
    }
}

/// Twenty of them.
fn many(make: impl FnMut(u64) -> String) -> Vec<String> {
    (0..20).map(make).collect()
}

const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Columns and their kinds.
fn positives() -> Vec<(&'static str, Vec<String>, Kind)> {
    let mut random = Random(0x9E37_79B9);
    let r = &mut random;
    let strings = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    vec![
        ("uuid v1", many(|_| r.uuid('1')), Kind::Uuid(Some(1))),
        ("uuid v3", many(|_| r.uuid('3')), Kind::Uuid(Some(3))),
        ("uuid v4", many(|_| r.uuid('4')), Kind::Uuid(Some(4))),
        ("uuid v5", many(|_| r.uuid('5')), Kind::Uuid(Some(5))),
        ("uuid v6", many(|_| r.uuid('6')), Kind::Uuid(Some(6))),
        ("uuid v7", many(|_| r.uuid('7')), Kind::Uuid(Some(7))),
        ("uuid v8", many(|_| r.uuid('8')), Kind::Uuid(Some(8))),
        ("uuid, upper case", many(|_| r.uuid('4').to_uppercase()), Kind::Uuid(Some(4))),
        ("uuid, two versions", many(|n| r.uuid(if n % 2 == 0 { '4' } else { '7' })), Kind::Uuid(None)),
        ("uuid without dashes", many(|_| r.uuid('4').replace('-', "")), Kind::Uuid(Some(4))),
        ("uuid, the only one", strings(&["c2f0bd2c-7d3e-4f0e-9d0f-55b1ad6c5c55"]), Kind::Uuid(Some(4))),
        ("ulid", many(|_| format!("01HV{}", r.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", 22))), Kind::Ulid),
        ("ulid, lower case", many(|_| format!("01hv{}", r.text("0123456789abcdefghjkmnpqrstvwxyz", 22))), Kind::Ulid),
        (
            "ksuid",
            strings(&[
                "0ujtsYcgvSTl8PAuAdqWYSMnLOv",
                "0ujsswThIGTUYm2K8FjOOfXtY1K",
                "1srOrx2ZWZBpBUvZwXKQmoEYga2",
                "2BCWRWkZzpYbCwTlvdWoQn5sqPr",
            ]),
            Kind::Ksuid,
        ),
        ("object id", many(|n| format!("65{:06x}{}", n * 7919, r.hex(16))), Kind::ObjectId),
        (
            "snowflake of Twitter",
            many(|n| ((1_700_000_000_000 + n * 977_123 - 1_288_834_974_657) << 22 | 5 << 12 | (n % 3)).to_string()),
            Kind::Snowflake,
        ),
        (
            "snowflake of Discord",
            many(|n| ((1_600_000_000_000 + n * 977_123 - 1_420_070_400_000) << 22 | 1 << 12 | (n % 2)).to_string()),
            Kind::Snowflake,
        ),
        ("trace id", many(|_| r.hex(32)), Kind::TraceId),
        ("world-wide names", many(|n| format!("5000c500a1b2c{n:03x}")), Kind::Hex),
        ("container with runtime", many(|_| format!("containerd://{}", r.hex(64))), Kind::Digest),
        ("traceparent", many(|_| format!("00-{}-{}-01", r.hex(32), r.hex(16))), Kind::TraceId),
        ("span id", many(|_| r.hex(16)), Kind::SpanId),
        ("git commit", many(|_| r.hex(40)), Kind::Sha1),
        ("container id", many(|_| r.hex(64)), Kind::Digest),
        ("digest", many(|_| format!("sha256:{}", r.hex(64))), Kind::Digest),
        ("image with digest", many(|_| format!("registry.k8s.io/pause@sha256:{}", r.hex(64))), Kind::Digest),
        ("short container id", many(|_| r.hex(12)), Kind::Hex),
        ("short commit", many(|_| r.hex(7)).into_iter().chain(["1a2b3c4".to_owned()]).collect(), Kind::Hex),
        ("pod template hash", strings(&["5d78c9869d", "6d4b75cb6d", "7c54bf4c6d", "84f9d4cfb5"]), Kind::Hex),
        ("session token", many(|_| r.text(BASE62, 32)), Kind::Token),
        ("jwt", many(|_| format!("eyJ{}.{}.{}", r.text(BASE62, 20), r.text(BASE62, 60), r.text(BASE62, 43))), Kind::Token),
        ("pods of ReplicaSets", many(|n| format!("app-{}-{}-{}", n % 3, r.text("456789bcdf", 10), r.suffix())), Kind::Pod),
        (
            "pods of a system",
            strings(&["coredns-5d78c9869d-jx2q7", "coredns-5d78c9869d-zl4wk", "metrics-server-6d94bc8694-vz8nq"]),
            Kind::Pod,
        ),
        ("pods of DaemonSets", many(|n| format!("{}-{}", ["kube-proxy", "node-exporter"][n as usize % 2], r.suffix())), Kind::Pod),
        ("pods of a StatefulSet", strings(&["web-0", "web-1", "web-2", "db-0", "db-1"]), Kind::Ordinal),
        ("pods of a CronJob", many(|n| format!("backup-{}-{}", 28_400_000 + n * 60, r.suffix())), Kind::Job),
        ("jobs", many(|n| format!("nightly-report-{}", 28_400_000 + n * 1440)), Kind::Job),
        ("jobs of old releases", many(|n| format!("cleanup-{}", 1_560_000_000 + n * 3600)), Kind::Job),
        (
            "veth",
            many(|_| format!("veth{}", r.hex(7))).into_iter().map(|name| name.replace("vethaaaaaaa", "veth1")).collect(),
            Kind::Interface,
        ),
        ("calico", many(|_| format!("cali{}1", r.hex(10))), Kind::Interface),
        ("docker scope", many(|_| format!("docker-{}.scope", r.hex(64))), Kind::NameWithId),
        ("pod slice", many(|_| format!("kubepods-besteffort-pod{}.slice", r.uuid('4').replace('-', "_"))), Kind::NameWithId),
        ("volume claim", many(|_| format!("pvc-{}", r.uuid('4'))), Kind::NameWithId),
        ("pod addresses", many(|n| format!("10.244.{}.{}", n % 4, n + 2)), Kind::PrivateIp),
        ("client addresses", many(|n| format!("{}.{}.7.9", 80 + n, n * 3)), Kind::PublicIp),
        ("IPv6 clients", many(|n| format!("2a02:8109:{:x}::{n:x}", 4096 + n)), Kind::PublicIp),
        ("IPv6 pods", many(|n| format!("fd00::{:x}", n + 1)), Kind::PrivateIp),
        ("mac", many(|n| format!("02:42:ac:11:00:{n:02x}")), Kind::Mac),
        ("clients with ports", many(|n| format!("192.168.1.{}:{}", n % 3, 40_000 + n * 331)), Kind::ClientEndpoint),
        ("IPv6 with port", many(|n| format!("[fe80::1]:{}", 50_000 + n)), Kind::ClientEndpoint),
        (
            "servers with ports",
            strings(&["db.internal.example.com:5432", "cache.internal.example.com:6379", "localhost:9090"]),
            Kind::Endpoint,
        ),
        ("client ports", many(|n| (32_768 + n * 1301).to_string()), Kind::EphemeralPort),
        ("paths with numbers", many(|n| format!("/users/{}/orders", n + 1)), Kind::PathWithIds),
        ("paths with uuids", many(|_| format!("/api/v1/items/{}", r.uuid('4'))), Kind::PathWithIds),
        ("paths with a few large numbers", strings(&["/o/12345", "/o/99887", "/o/73211"]), Kind::PathWithIds),
        ("paths with users", many(|n| format!("/u/user{n}/profile")), Kind::PathWithIds),
        ("files with numbers", many(|n| format!("/img/{}.png", n * 37)), Kind::PathWithIds),
        ("queries", many(|n| format!("/search?q={n}")), Kind::PathWithIds),
        ("urls", many(|n| format!("https://api.example.com/v2/things/{}", n * 100)), Kind::PathWithIds),
        ("methods and paths", many(|n| format!("GET /users/{n}")), Kind::PathWithIds),
        ("cgroups", many(|_| format!("/kubepods/besteffort/pod{}/{}", r.uuid('4'), r.hex(64))), Kind::PathWithIds),
        ("paths", strings(&["/", "/metrics", "/api/v1/query", "/healthz"]), Kind::Path),
        ("seconds", many(|n| (1_700_000_000 + n * 997).to_string()), Kind::Epoch(Unit::Seconds)),
        ("milliseconds", many(|n| (1_700_000_000_123 + n * 99_701).to_string()), Kind::Epoch(Unit::Milliseconds)),
        ("microseconds", many(|n| (1_700_000_000_123_456 + n * 9_970_001).to_string()), Kind::Epoch(Unit::Microseconds)),
        ("nanoseconds", many(|n| (1_700_000_000_123_456_789 + n * 99_712_345_671).to_string()), Kind::Epoch(Unit::Nanoseconds)),
        ("RFC 3339", many(|n| format!("2026-11-30T10:{n:02}:00Z")), Kind::DateTime),
        ("RFC 3339 with offset", many(|n| format!("2026-11-30T10:{n:02}:00.123456+02:00")), Kind::DateTime),
        ("time with a blank", many(|n| format!("2026-11-30 10:{n:02}:00")), Kind::DateTime),
        ("HTTP date", many(|n| format!("Mon, 02 Jan 2006 15:04:{n:02} GMT")), Kind::DateTime),
        ("days", many(|n| format!("2026-11-{:02}", n + 1)), Kind::Date),
        ("days without dashes", many(|n| format!("202611{:02}", n + 1)), Kind::Date),
        ("mail", many(|n| format!("user{n}@mail.example.org")), Kind::Email),
        ("users, counted", (0..600).map(|n| (n + 1000).to_string()).collect(), Kind::DenseIntegers),
        ("users, scattered", many(|n| (100_003 + n * n * 7919).to_string()), Kind::SparseIntegers),
        ("processes", many(|n| (4001 + n * 1733).to_string()), Kind::SparseIntegers),
        ("measured", (0..1500).map(|n| format!("{:.6}", f64::from(n).sqrt() / 7.0)).collect(), Kind::Floats),
        ("errors", many(|n| format!("dial tcp 10.0.0.{n}:5432: connect: connection refused")), Kind::ErrorText),
        ("wrapped errors", many(|n| format!("open config: read /etc/app/{n}.yaml: permission denied")), Kind::ErrorText),
        ("gRPC errors", many(|n| format!("rpc error: code = NotFound desc = user {n} not found")), Kind::ErrorText),
        ("parse errors", many(|n| format!("strconv.Atoi: parsing \"x{n}\": invalid syntax")), Kind::ErrorText),
        ("statements", many(|n| format!("SELECT * FROM users WHERE id = {n}")), Kind::Sql),
        ("statements, lower case", many(|n| format!("update users set name = 'x' where id = {n}")), Kind::Sql),
        ("inserts", many(|n| format!("INSERT INTO t (a) VALUES ({n})")), Kind::Sql),
        ("stack traces of Go", many(|n| format!("goroutine {n} [running]:\nmain.main()\n\t/src/main.go:12 +0x1d")), Kind::StackTrace),
        ("stack traces of Java", many(|n| format!("java.lang.Error: {n}\n\tat a.B.c(B.java:12)")), Kind::StackTrace),
        ("versions", strings(&["1.2.3", "1.2.4", "v2.0.0-rc.1"]), Kind::Version),
        ("versions of Go", strings(&["go1.22.1", "go1.23", "go1.21.13"]), Kind::Version),
        ("pseudo-versions", strings(&["v0.0.0-20240102030405-abcdef123456", "v0.17.0"]), Kind::Version),
        (
            "uuid layout without a version",
            many(|_| format!("{}-{}-{}-{}-{}", r.hex(8), r.hex(4), r.hex(4), r.hex(4), r.hex(12))),
            Kind::Uuid(None),
        ),
        ("24 random digits", (0..60).map(|_| r.hex(24)).collect(), Kind::HexId),
        ("20 random digits", many(|_| r.hex(20)), Kind::HexId),
        ("phones", many(|n| format!("+49170{:07}", n * 7919)), Kind::Phone),
        ("phones with blanks", many(|n| format!("+1 (555) 010-{:04}", n * 79)), Kind::Phone),
        ("users with a number", (0..60).map(|n| format!("user-{}", 100_000 + n * 37)).collect(), Kind::NumberedName),
        ("orders with a number", (0..150).map(|n| format!("order_{}", 1_000 + n)).collect(), Kind::NumberedName),
        ("amounts", (0..60).map(|n| format!("{:.2}", f64::from(n) * 0.37)).collect(), Kind::Floats),
        ("bounds", strings(&["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0"]), Kind::Bounds),
        ("exponential bounds", (0..30).map(|n| format!("{}", 1.5_f64.powi(n))).collect(), Kind::Bounds),
        ("truth", strings(&["true", "false"]), Kind::Boolean),
        ("truth in two spellings", strings(&["true", "True", "1"]), Kind::Boolean),
    ]
}

#[test]
fn finds_what_values_are() {
    let mut wrong = Vec::new();
    for (name, values, kind) in positives() {
        let shape = made(values);
        if shape.kind != kind || shape.share < 0.8 {
            wrong.push(format!("{name}: {:?} {:.2} {:?} {:?}", shape.kind, shape.share, shape.kinds, shape.examples));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(positives().len() >= 60);
}

#[test]
fn ids_are_unbounded() {
    let bounded = [
        Kind::Ordinal,
        Kind::PrivateIp,
        Kind::Bounds,
        Kind::Endpoint,
        Kind::Mac,
        Kind::Path,
        Kind::Version,
        Kind::Boolean,
        Kind::Date,
        Kind::DenseIntegers,
    ];
    for (name, values, kind) in positives().into_iter().filter(|(_, values, kind)| values.len() >= 20 && !bounded.contains(kind)) {
        let shape = made(values);
        assert_eq!(shape.bounded, Bounded::Unbounded, "{name}");
        assert!(shape.advice != Advice::Nothing && !shape.advice.text().is_empty(), "{name}: {kind:?}");
    }
}

/// Real label values that are fine.
const NEGATIVES: &[(&str, &[&str])] = &[
    ("namespaces", &["kube-system", "default", "monitoring", "cert-manager", "ingress-nginx"]),
    ("le", &["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf"]),
    ("le of sizes", &["100.0", "1000.0", "10000.0", "100000.0", "1e+06", "1e+07", "+Inf"]),
    (
        "le of integers",
        &[
            "1024",
            "2048",
            "4096",
            "8192",
            "16384",
            "32768",
            "65536",
            "131072",
            "262144",
            "524288",
            "1048576",
            "2097152",
            "4194304",
            "8388608",
            "16777216",
            "33554432",
            "67108864",
            "134217728",
            "268435456",
            "536870912",
            "1073741824",
        ],
    ),
    ("quantile", &["0", "0.25", "0.5", "0.75", "0.9", "0.99", "1"]),
    (
        "status codes",
        &["200", "201", "204", "301", "304", "400", "401", "403", "404", "409", "422", "429", "499", "500", "502", "503", "504"],
    ),
    ("classes of status codes", &["1xx", "2xx", "3xx", "4xx", "5xx"]),
    ("methods", &["GET", "POST", "PUT", "DELETE", "PATCH", "CONNECT"]),
    (
        "functions",
        &[
            "main.main",
            "net/http.(*conn).serve",
            "runtime.gcBgMarkWorker",
            "github.com/prometheus/client_golang/prometheus.(*Registry).Gather",
        ],
    ),
    (
        "functions without packages",
        &["NewClientWithDefaultOptions", "handleRequestV2WithContext", "Base64EncodeToString1", "ReadAll", "ServeHTTP"],
    ),
    ("gRPC services", &["grpc.health.v1.Health", "etcdserverpb.KV", "etcdserverpb.Watch", "etcdserverpb.Lease"]),
    ("gRPC methods", &["Check", "Watch", "Range", "Txn", "LeaseGrant", "MemberList"]),
    ("gRPC codes", &["OK", "Canceled", "DeadlineExceeded", "NotFound", "Unavailable", "Internal"]),
    ("zones", &["us-east-1a", "us-east-1b", "us-east-1c", "eu-west-1a"]),
    ("regions", &["us-east-1", "us-east-2", "us-west-1", "us-west-2", "eu-central-1"]),
    ("zones of Google", &["europe-west1-b", "europe-west1-c", "us-central1-f"]),
    ("partitions", &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"]),
    ("cpus", &["0", "1", "2", "3"]),
    ("hexadecimal words", &["deadbeef", "cafe", "facade", "decade", "efface", "acceded", "defaced", "effaced"]),
    ("more hexadecimal words", &["beef", "deadbeefdeadbeef", "feedface", "baddcafe", "cafebabe", "c0ffee"]),
    ("curves", &["ed25519", "x25519", "p256", "secp256k1", "sha256", "aes128gcm"]),
    ("dates in file names", &["backup-2024-01-01.tar.gz", "backup-2024-01-02.tar.gz", "backup-2024-01-03.tar.gz"]),
    ("dates behind names", &["report-20240101", "report-20240102", "report-20240103"]),
    ("devices", &["sda", "sda1", "nvme0n1", "nvme0n1p1", "dm-0", "dm-1", "loop0"]),
    ("interfaces", &["lo", "eth0", "eth1", "docker0", "wlan0", "enp3s0", "bond0.100", "flannel.1", "cni0", "tunl0"]),
    ("words that begin like interfaces", &["californium", "lxc-net", "br-lan", "vethernet", "caliper", "enigma"]),
    ("file systems", &["ext4", "tmpfs", "xfs", "vfat", "overlay", "squashfs"]),
    ("mount points", &["/", "/boot", "/boot/efi", "/run", "/var/lib/kubelet", "/home"]),
    ("user mounts", &["/run/user/0", "/run/user/1000"]),
    (
        "units of systemd",
        &["getty@tty1.service", "user@1000.service", "sshd.service", "dbus.socket", "systemd-fsck@dev-sda1.service", "-.mount"],
    ),
    ("kernel", &["#1 SMP PREEMPT_DYNAMIC Debian 6.1.55-1 (2023-09-29)"]),
    ("processors", &["Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz", "AMD EPYC 7B12"]),
    ("operating systems", &["Ubuntu 22.04.3 LTS", "Debian GNU/Linux 12 (bookworm)"]),
    ("resources", &["pods", "configmaps", "secrets", "deployments", "customresourcedefinitions"]),
    ("groups of Kubernetes", &["apps", "batch", "rbac.authorization.k8s.io", "apiextensions.k8s.io"]),
    ("api versions", &["v1", "v1beta1", "v1alpha1", "v2"]),
    ("verbs", &["LIST", "WATCH", "get", "create", "APPLY"]),
    ("verbs of SQL", &["SELECT", "INSERT", "UPDATE", "DELETE", "select from cache"]),
    (
        "clusters of Envoy",
        &["outbound|443||istiod.istio-system.svc.cluster.local", "inbound|8080||", "BlackHoleCluster", "xds-grpc", "prometheus_stats"],
    ),
    ("response flags of Envoy", &["-", "UH", "UF", "DC", "UAEX", "NR"]),
    ("services", &["kubernetes", "kube-dns", "kube-proxy", "metrics-server", "my-https", "my-https2-proxy"]),
    ("names with consonants", &["my-https", "my-xhtml", "web-nginx", "app-mysql", "cache-pgsql", "lib-crypt"]),
    ("nodes", &["ip-10-0-1-17.ec2.internal", "ip-10-0-2-33.ec2.internal", "worker-a", "worker-b"]),
    ("certificates", &["CN=kubernetes", "CN=front-proxy-ca", "system:serviceaccount:kube-system:default"]),
    ("images", &["nginx:1.25", "redis:7", "postgres:15", "registry.k8s.io/pause:3.9", "node:18"]),
    ("source lines", &["main.go:123", "server.go:48", "store.go:1042"]),
    ("durations", &["10s", "1m30s", "500ms", "1h", "24h"]),
    ("sizes", &["4Ki", "2Mi", "1Gi", "512"]),
    ("hugepages", &["hugepages_1Gi", "hugepages_2Mi", "cpu", "memory", "ephemeral_storage"]),
    ("gc", &["/gc/cycles/automatic:gc-cycles", "/memory/classes/heap/free:bytes", "/sched/latencies:seconds"]),
    ("handlers", &["/api/v1/query", "/api/v1/query_range", "/metrics", "/-/healthy", "/static/*filepath"]),
    ("route patterns", &["/users/{id}", "/users/{id}/orders", "/users/:id", "/2/issue/{key}", "/3/search"]),
    (
        "kubernetes groups as paths",
        &[
            "/apis/apps/v1",
            "/apis/batch/v1",
            "/apis/policy/v1",
            "/apis/autoscaling/v2",
            "/apis/events.k8s.io/v1",
            "/apis/node.k8s.io/v1",
            "/apis/storage.k8s.io/v1",
            "/apis/networking.k8s.io/v1",
            "/apis/discovery.k8s.io/v1",
            "/apis/coordination.k8s.io/v1",
            "/apis/flowcontrol.apiserver.k8s.io/v1",
        ],
    ),
    ("errors as words", &["timeout", "not_found", "invalid_argument", "connection_error", "EOF"]),
    ("reasons", &["Completed", "OOMKilled", "CrashLoopBackOff", "ContainerCreating", "ImagePullBackOff", "Back-off restarting"]),
    ("sentences", &["The number of items", "Bytes sent by the server", "Total time spent waiting"]),
    ("shards", &["shard-1", "shard-2", "shard-3"]),
    ("error codes", &["ORA-00001", "ORA-01555", "ORA-12541", "ORA-04031", "E1045", "E2002"]),
    ("signed numbers", &["+1", "-1", "+10", "+100"]),
    ("ports", &["80", "443", "8080", "9090", "6443", "10250"]),
    ("users of a machine", &["0", "1000", "65534", "33"]),
    ("topics", &["orders.v1", "payments.v1", "orders.v1.retry", "__consumer_offsets"]),
    ("algorithms", &["TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "SHA256-RSA"]),
    ("time zones", &["Europe/Berlin", "America/New_York", "UTC"]),
    ("languages", &["en-US", "de-DE", "zh-Hans-CN", "en_GB.UTF-8"]),
    ("modules", &["golang.org/x/net", "github.com/prometheus/common", "k8s.io/client-go"]),
    ("mode", &["user", "system", "idle", "iowait", "irq", "softirq", "steal", "nice"]),
    ("states", &["0", "1", "2"]),
    ("sensors", &["temp1", "temp2", "fan1", "in0", "0000:00:1f_3"]),
    ("chips", &["platform_coretemp_0", "platform_coretemp_1", "pci0000:00_0000:00:18_3"]),
    ("scsi", &["0:0:0:0", "1:0:0:0"]),
    ("pci", &["0000:00:1f.2", "0000:3b:00.0"]),
    ("interrupts", &["APIC ICR read retries", "Machine check exceptions", "Function call interrupts", "Spurious interrupts"]),
    (
        "mitigations",
        &[
            "Retpolines, IBPB: conditional, STIBP: always-on, RSB filling, PBRSB-eIBRS: Not affected",
            "usercopy/swapgs barriers and __user pointer sanitization",
        ],
    ),
    ("calls of NFS", &["Access", "GetAttr", "Getattr", "SetAttr", "Setattr", "Lookup"]),
    ("servers", &["10.0.0.1:9090", "10.0.0.2:9100", "127.0.0.77:24002", "db.example.com:5432"]),
    ("clocks", &["10:30", "23:59:59", "00:00"]),
];

#[test]
fn takes_plain_labels_for_what_they_are() {
    let plain = [
        Kind::Enum,
        Kind::Words,
        Kind::Text,
        Kind::Integers,
        Kind::Floats,
        Kind::Bounds,
        Kind::Path,
        Kind::DenseIntegers,
        Kind::Ordinal,
        Kind::Endpoint,
    ];
    let mut wrong = Vec::new();
    for (name, values) in NEGATIVES {
        let shape = of(values);
        let other: Vec<&(Kind, u64)> = shape.kinds.iter().filter(|(kind, _)| !plain.contains(kind)).collect();
        if !other.is_empty() || shape.bounded == Bounded::Unbounded || shape.advice != Advice::Nothing || !shape.templates.is_empty() {
            wrong.push(format!("{name}: {:?} {:?} {:?} {:?}", shape.kinds, shape.bounded, shape.advice, shape.templates));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(NEGATIVES.len() >= 40);
}

#[test]
fn words_are_no_ids_in_any_mixture() {
    let all: Vec<&str> = NEGATIVES
        .iter()
        .flat_map(|(_, values)| values.iter().copied())
        .filter(|value| value.bytes().any(|byte| byte.is_ascii_alphabetic()))
        .collect();
    let mut different = all.clone();
    different.sort_unstable();
    different.dedup();
    let shape = of(&different);
    let plain = [
        Kind::Enum,
        Kind::Words,
        Kind::Text,
        Kind::Path,
        Kind::Floats,
        Kind::Bounds,
        Kind::Integers,
        Kind::Version,
        Kind::Ordinal,
        Kind::Endpoint,
    ];
    let other: Vec<&(Kind, u64)> = shape.kinds.iter().filter(|(kind, _)| !plain.contains(kind)).collect();
    assert!(other.is_empty(), "{other:?}");
}

#[test]
fn many_values_that_are_measured_or_numbered_keep_coming() {
    let unbounded = [
        made((0..60).map(|n| format!("{:.3}", f64::from(n) * 0.37)).collect()),
        made((0..400).map(|n| format!("{:.6}", f64::from(n).sqrt())).collect()),
        made((0..50).map(|n| format!("user-{}", 100_000 + n * 37)).collect()),
        made((0..50).map(|n| format!("+49170{:07}", n * 7919)).collect()),
    ];
    assert!(unbounded.iter().all(|shape| shape.bounded == Bounded::Unbounded && shape.advice != Advice::Nothing), "{unbounded:#?}");
    assert_eq!(unbounded[2].templates[0].text, "user-*");
    assert_eq!(made((0..60).map(|n| format!("{}", 1.2_f64.powi(n))).collect()).bounded, Bounded::Bounded);
}

#[test]
fn random_digits_are_one_kind_although_some_begin_like_a_time() {
    let mut random = Random(77);
    let shape = made((0..200).map(|_| random.hex(24)).collect());
    assert_eq!((shape.kind, shape.share, shape.advice), (Kind::HexId, 1.0, Advice::RemoveLabel));
    for count in [20, 50, 200] {
        let layout =
            |random: &mut Random| format!("{}-{}-{}-{}-{}", random.hex(8), random.hex(4), random.hex(4), random.hex(4), random.hex(12));
        let shape = made((0..count).map(|_| layout(&mut random)).collect());
        assert_eq!((shape.kind, shape.share, shape.bounded), (Kind::Uuid(None), 1.0, Bounded::Unbounded));
    }
}

#[test]
fn mixed_columns_say_so() {
    let mut random = Random(4);
    let mut values: Vec<String> = (0..70).map(|_| random.uuid('4')).collect();
    values.extend((0..30).map(|n| format!("static-{n}-name")));
    let shape = made(values);
    assert_eq!((shape.kind, shape.mixed, shape.share), (Kind::Uuid(Some(4)), true, 0.7));
    let mut values: Vec<String> = (0..30).map(|_| random.uuid('4')).collect();
    values.extend((0..40).map(|n| format!("name{n}x")));
    let shape = made(values);
    assert_eq!((shape.kind, shape.mixed, shape.bounded), (Kind::Enum, true, Bounded::Unbounded));
}

#[test]
fn a_single_id_may_be_that_of_the_process() {
    assert_eq!(of(&["c2f0bd2c-7d3e-4f0e-9d0f-55b1ad6c5c55"]).bounded, Bounded::Unknown);
    assert_eq!(of(&["98ad64b1a2ce9e2c4ba4f6ac9d6a3ad35a4c3cfa"]).advice, Advice::InfoMetric);
}

#[test]
fn empty_values_are_not_counted() {
    assert_eq!((of(&[]).kind, of(&[""]).kind), (Kind::Empty, Kind::Empty));
    assert_eq!(of(&["", "a"]).values, 1);
}

#[test]
fn spellings_of_one_thing_are_found() {
    let drift = |values: &[(&str, u64)]| shape(values).drift;
    assert_eq!(drift(&[("true", 5), ("True", 2), ("1", 1), ("false", 9)]), [["true", "True", "1"]]);
    assert_eq!(drift(&[("GET", 9), ("get", 1), ("POST", 1)]), [["GET", "get"]]);
    assert_eq!(drift(&[("ok", 1), ("ok ", 3)]), [["ok ", "ok"]]);
    assert!(drift(&[("true", 1), ("false", 1)]).is_empty());
    assert!(drift(&[("0", 1), ("1", 1)]).is_empty());
    assert!(drift(&[("io.Reader", 1), ("io.reader", 1)]).is_empty());
    assert_eq!(shape(&[("GET", 9), ("get", 1)]).advice, Advice::OneSpelling);
}

#[test]
fn secrets_and_people_are_not_shown() {
    let shape = made((0..20).map(|n| format!("user{n}@mail.example.org")).collect());
    assert!(shape.examples.iter().all(|example| !example.contains('@')), "{:?}", shape.examples);
    let mut random = Random(8);
    let shape = made((0..20).map(|_| random.text(BASE62, 32)).collect());
    assert!(shape.examples.iter().all(|example| example.chars().count() <= 4), "{:?}", shape.examples);
}

#[test]
fn of_many_values_a_sample_is_looked_at() {
    let mut random = Random(21);
    let values: Vec<String> = (0..100_000).map(|_| random.uuid('4')).collect();
    let mut weighted: Vec<(&str, u64)> = values.iter().map(|value| (value.as_str(), 1)).collect();
    let shape = super::shape(&weighted);
    assert_eq!((shape.kind, shape.values), (Kind::Uuid(Some(4)), 100_000));
    assert!((4_500..5_500).contains(&shape.looked_at), "{}", shape.looked_at);
    weighted.reverse();
    assert_eq!(super::shape(&weighted).looked_at, shape.looked_at);
}

/// Text and number of values.
fn templates(shape: &Shape) -> Vec<(&str, u64)> {
    shape.templates.iter().map(|template| (template.text.as_str(), template.values)).collect()
}

#[test]
fn templates_of_a_service() {
    let mut random = Random(31);
    let mut values: Vec<String> = (0..40).map(|n| format!("/users/{n}/orders")).collect();
    values.extend((0..30).map(|n| format!("/users/{n}")));
    values.extend((0..20).map(|_| format!("/items/{}/image.png", random.uuid('4'))));
    values.extend((0..10).map(|n| format!("/img/{}.jpg", n * 31)));
    values.extend((0..5).map(|n| format!("/search?q=word{n}")));
    values.extend(
        ["/users/me", "/users/me/orders", "/healthz", "/api/v1/status", "/wp-login.php", "/.env", "/a/../../etc/passwd"].map(str::to_owned),
    );
    let shape = made(values);
    let expected = [
        ("/users/:id/orders", 40),
        ("/users/:id", 30),
        ("/items/:uuid/image.png", 20),
        ("/img/:id.jpg", 10),
        ("/search?*", 5),
        ("/api/v1/status", 1),
        ("/healthz", 1),
        ("/users/me", 1),
        ("/users/me/orders", 1),
    ];
    assert_eq!(templates(&shape), expected);
    assert_eq!((shape.kind, shape.garbage, shape.advice), (Kind::PathWithIds, 3, Advice::RoutePattern));
    assert_eq!(shape.templates[0].regex, "/users/[0-9]+/orders");
}

#[test]
fn names_are_cut_out_only_where_the_same_routes_follow() {
    let names: Vec<String> = (0..60).map(|n| format!("/team/{}/members", words(n))).collect();
    assert_eq!(templates(&made(names)), [("/team/:name/members", 60)]);
    let routes: Vec<String> = (0..60).map(|n| format!("/{}", words(n))).collect();
    assert!(made(routes).templates.is_empty());
}

/// Words of letters.
fn words(n: u32) -> String {
    format!("{}{}", ["red", "blue", "green", "grey"][n as usize % 4], "abcdefghijklmno".chars().nth(n as usize / 4).unwrap())
}

#[test]
fn templates_of_names() {
    let shape = of(&["coredns-5d78c9869d-jx2q7", "coredns-5d78c9869d-zl4wk", "api-6d94bc8694-vz8nq"]);
    assert_eq!(templates(&shape), [("coredns-*", 2), ("api-*", 1)]);
    let shape = of(&["kube-proxy-x7k2p", "kube-proxy-b5t9z", "kube-proxy-qw2rl"]);
    assert_eq!(templates(&shape), [("kube-proxy-*", 3)]);
    let shape = of(&["10.0.0.1:40001", "10.0.0.1:40002", "10.0.0.1:60999", "10.0.0.1:8080", "10.0.0.2:51234"]);
    assert_eq!(templates(&shape), [("10.0.0.1:*", 4), ("10.0.0.2:*", 1)]);
}

#[test]
fn one_value_alone() {
    for (value, text) in [
        ("/users/17/orders", "/users/17/orders"),
        ("/items/c2f0bd2c-7d3e-4f0e-9d0f-55b1ad6c5c55", "/items/:uuid"),
        ("/blob/2026-11-30/98ad64b1a2ce9e2c4ba4f6ac9d6a3ad35a4c3cfa", "/blob/:date/:hash"),
        ("c2f0bd2c-7d3e-4f0e-9d0f-55b1ad6c5c55", ":uuid"),
        ("veth1a2b3c4", "veth*"),
        ("pvc-c2f0bd2c-7d3e-4f0e-9d0f-55b1ad6c5c55", "pvc-*"),
        ("nightly-28400000-x7k2p", "nightly-*"),
        ("10.0.0.1:40001", "10.0.0.1:*"),
        ("kube-system", "kube-system"),
    ] {
        let template = normalise(value);
        assert_eq!(template.text, text);
        assert!(verify(&[template], [value].into_iter()).is_exact(), "{value}");
    }
}

#[test]
fn verify_finds_what_does_not_fit() {
    let template = |regex: &str, values| Template { text: regex.to_owned(), regex: regex.to_owned(), values, weight: 0, varies: true };
    let both = [template("/a/[0-9]+", 2), template("/a/.*", 1)];
    assert_eq!(verify(&both, ["/a/1", "/a/2", "/a/x"].into_iter()), Check { unmatched: 0, ambiguous: 2, miscounted: 1 });
    assert_eq!(verify(&both[..1], ["/a/1", "/b"].into_iter()), Check { unmatched: 1, ambiguous: 0, miscounted: 1 });
}

/// Columns whose templates match each value once, and no two of them the same.
fn assert_exact(values: &[String]) {
    let shape = made(values.to_vec());
    let seen = values.iter().map(String::as_str).filter(|value| paths::is_path(value) && !paths::is_garbage(value));
    if shape.templates.is_empty() {
        return;
    }
    let check = verify(&shape.templates, seen);
    assert!(check.is_exact(), "{check:?} {:#?} {values:?}", shape.templates);
}

#[test]
fn templates_fit_their_values_in_every_column() {
    let mut looked = 0;
    for (name, values, kind) in positives() {
        if matches!(kind, Kind::PathWithIds | Kind::Path) {
            assert_exact(&values);
            looked += 1;
        }
        if matches!(kind, Kind::Pod | Kind::Job | Kind::Interface | Kind::NameWithId | Kind::ClientEndpoint) {
            let shape = made(values.clone());
            let check = verify(&shape.templates, values.iter().map(String::as_str));
            assert!(check.is_exact() && shape.templates.len() < values.len(), "{name}: {check:?} {:?}", shape.templates);
            looked += 1;
        }
    }
    assert!(looked >= 18, "{looked}");
}

proptest! {
    #[test]
    fn classes_cover_what_their_expressions_match(segment in prop_oneof![
        "[0-9a-g.:@?\\-]{0,12}", "([a-z]{1,2}@)?[a-z]{0,3}:[0-9a-f]{31,33}", "[0-9a-z]{26,27}", "[0-9]{4}-[0-9]{2}-[0-9]{2}", "[0-9.]{7,9}", "[0-9a-f]{4}", "\\[?[0-9a-z:]{2,6}\\]?",
    ]) {
        use template::Class;
        let all = [Class::Integer, Class::Uuid, Class::Ulid, Class::Ksuid, Class::Hex(4), Class::Digest, Class::Date, Class::Ipv4, Class::Ipv6, Class::Email, Class::Any];
        for class in all {
            let matches = Regex::new(&format!("^(?s:{})$", class.regex())).unwrap().is_match(&segment);
            prop_assert_eq!(class.covers(&segment), matches, "{:?}", class);
        }
    }

    /// Segments that are alike on purpose: literals that an id's expression would match.
    #[test]
    fn templates_never_overlap(paths in proptest::collection::btree_set(
        proptest::collection::vec(prop_oneof![
            "[0-9]{1,5}", "[a-c]{1,2}", "[0-9]{16}", "[0-9a-f]{16}", "deadbeefdeadbeef", "[0-9a-z]{26}", "01HV[0-9A-F]{22}",
            "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}", "[0-9]{1,3}\\.png", "10\\.0\\.0\\.[0-9]", "[0-9]{4}-0[1-9]-0[1-9]", "[a-z]@b\\.cd", "a:b", "u[0-9]{2}", "",
        ], 1..5), 1..60), query in any::<bool>())
    {
        let values: Vec<String> = paths.iter().map(|segments| format!("/{}{}", segments.join("/"), if query { "?a=1/2" } else { "" })).collect();
        assert_exact(&values);
    }

    #[test]
    fn any_text_is_taken(values in proptest::collection::vec(".{0,40}", 0..30)) {
        let shape = made(values.clone());
        prop_assert!((0.0..=1.0).contains(&shape.share));
        for value in &values {
            let template = normalise(value);
            prop_assert!(!template.varies || Regex::new(&format!("^(?s:{})$", template.regex)).unwrap().is_match(value), "{value:?} {template:?}");
        }
    }

    #[test]
    fn kinds_add_up(values in proptest::collection::btree_set("[a-f0-9.:/@-]{1,36}", 1..40)) {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let shape = of(&values);
        let sum: BTreeMap<Kind, u64> = shape.kinds.iter().copied().collect();
        prop_assert_eq!(sum.values().sum::<u64>(), values.len() as u64);
    }
}
