//! Kinds of label values, and what each means for the number of series.

/// What the values of a label are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The version, where all values have the same, of a known one; with dashes or, when many agree, without.
    Uuid(Option<u8>),
    Ulid,
    Ksuid,
    /// Of MongoDB.
    ObjectId,
    Snowflake,
    /// 32 random hexadecimal digits, or a W3C `traceparent`.
    TraceId,
    /// 16 random hexadecimal digits.
    SpanId,
    /// 40 hexadecimal digits.
    Sha1,
    /// 64 hexadecimal digits, or such a one behind `sha256:` (also of another length and algorithm, or behind an image name) or `containerd://`.
    Digest,
    /// Digits and letters up to f, of one length: container ids, short commit ids, hashes of pod templates, world-wide names; also a single
    /// one of 16 or 32.
    Hex,
    /// Random hexadecimal digits of a length that no tool is known for.
    HexId,
    /// Random letters and digits in both cases, or a JWT.
    Token,
    /// Pod of a ReplicaSet or DaemonSet.
    Pod,
    /// Job or pod of a CronJob.
    Job,
    /// `web-0`, `web-1`: pods of a StatefulSet, shards, devices.
    Ordinal,
    /// `user-100037`: many names that differ in a large number.
    NumberedName,
    /// Network interface of a container.
    Interface,
    /// A name with a UUID or hash inside, `docker-….scope`.
    NameWithId,
    PublicIp,
    PrivateIp,
    Mac,
    /// Host and port of servers.
    Endpoint,
    /// Host and a port that the kernel gave to a client.
    ClientEndpoint,
    /// Port numbers that the kernel gives to clients.
    EphemeralPort,
    /// Slash-separated, with ids in it.
    PathWithIds,
    /// Slash-separated.
    Path,
    Epoch(Unit),
    DateTime,
    Date,
    Email,
    /// In international form.
    Phone,
    /// Whole numbers that fill a range.
    DenseIntegers,
    /// Many whole numbers far apart.
    SparseIntegers,
    /// Few whole numbers, or small ones, or round ones: codes, sizes, bounds.
    Integers,
    /// Measured or computed.
    Floats,
    /// Floats that somebody chose: few digits, or each the same factor above the one before.
    Bounds,
    ErrorText,
    Sql,
    StackTrace,
    Version,
    Boolean,
    /// At most 50 different words.
    Enum,
    /// More words than that.
    Words,
    /// Words and blanks.
    Text,
    /// There are no values.
    Empty,
}

/// Of timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

/// Whether new values keep coming.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bounded {
    Bounded,
    Unbounded,
    Unknown,
}

/// What to do with such a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Advice {
    RemoveLabel,
    Exemplar,
    InfoMetric,
    StripSuffix,
    NodeOrPod,
    Client,
    CutPort,
    RoutePattern,
    GaugeValue,
    Logs,
    ErrorClass,
    StatementName,
    FixExposition,
    OneSpelling,
    Nothing,
}

impl Kind {
    /// Stable, for machines.
    pub fn id(self) -> &'static str {
        match self {
            Kind::Uuid(_) => "uuid",
            Kind::Ulid => "ulid",
            Kind::Ksuid => "ksuid",
            Kind::ObjectId => "object_id",
            Kind::Snowflake => "snowflake",
            Kind::TraceId => "trace_id",
            Kind::SpanId => "span_id",
            Kind::Sha1 => "sha1",
            Kind::Digest => "digest",
            Kind::Hex => "hex",
            Kind::HexId => "hex_id",
            Kind::Token => "token",
            Kind::Pod => "pod",
            Kind::Job => "job",
            Kind::Ordinal => "ordinal",
            Kind::NumberedName => "numbered_name",
            Kind::Interface => "interface",
            Kind::NameWithId => "name_with_id",
            Kind::PublicIp => "public_ip",
            Kind::PrivateIp => "private_ip",
            Kind::Mac => "mac",
            Kind::Endpoint => "endpoint",
            Kind::ClientEndpoint => "client_endpoint",
            Kind::EphemeralPort => "ephemeral_port",
            Kind::PathWithIds => "path_with_ids",
            Kind::Path => "path",
            Kind::Epoch(Unit::Seconds) => "epoch_s",
            Kind::Epoch(Unit::Milliseconds) => "epoch_ms",
            Kind::Epoch(Unit::Microseconds) => "epoch_us",
            Kind::Epoch(Unit::Nanoseconds) => "epoch_ns",
            Kind::DateTime => "date_time",
            Kind::Date => "date",
            Kind::Email => "email",
            Kind::Phone => "phone",
            Kind::DenseIntegers => "dense_integers",
            Kind::SparseIntegers => "sparse_integers",
            Kind::Integers => "integers",
            Kind::Floats | Kind::Bounds => "floats",
            Kind::ErrorText => "error_text",
            Kind::Sql => "sql",
            Kind::StackTrace => "stack_trace",
            Kind::Version => "version",
            Kind::Boolean => "boolean",
            Kind::Enum => "enum",
            Kind::Words => "words",
            Kind::Text => "text",
            Kind::Empty => "empty",
        }
    }

    /// Whether values of this kind keep coming, of which there are `values` now. Of fewer than ten ids, all can belong to the process itself.
    pub fn bounded(self, values: u64) -> Bounded {
        let when = |bounded: bool| if bounded { Bounded::Bounded } else { Bounded::Unknown };
        match self {
            Kind::Boolean | Kind::Enum | Kind::Empty => Bounded::Bounded,
            Kind::Ordinal | Kind::Version => when(values <= 100),
            Kind::Integers => when(values <= 50),
            Kind::Bounds => when(values <= 60),
            // Of products, machines or codes there can be some dozens.
            Kind::Floats | Kind::NumberedName if values < 50 => Bounded::Unknown,
            Kind::DenseIntegers if values >= 5000 => Bounded::Unbounded,
            Kind::DenseIntegers => when(values <= 256),
            Kind::Path => when(values <= 50),
            Kind::Words | Kind::Text | Kind::PrivateIp | Kind::Endpoint | Kind::Mac | Kind::Date => Bounded::Unknown,
            Kind::ErrorText if values < 20 => Bounded::Unknown,
            Kind::Sql if values < 20 => Bounded::Unknown,
            _ if values < 10 => Bounded::Unknown,
            _ => Bounded::Unbounded,
        }
    }

    pub fn advice(self) -> Advice {
        match self {
            Kind::Uuid(_) | Kind::Ulid | Kind::Ksuid | Kind::ObjectId | Kind::Snowflake | Kind::HexId | Kind::Token => Advice::RemoveLabel,
            Kind::NumberedName => Advice::RemoveLabel,
            Kind::TraceId | Kind::SpanId => Advice::Exemplar,
            Kind::Sha1 | Kind::Digest | Kind::Hex | Kind::Version => Advice::InfoMetric,
            Kind::Pod | Kind::Job | Kind::Interface | Kind::NameWithId => Advice::StripSuffix,
            Kind::PrivateIp | Kind::Mac => Advice::NodeOrPod,
            Kind::PublicIp => Advice::Client,
            Kind::ClientEndpoint | Kind::EphemeralPort => Advice::CutPort,
            Kind::PathWithIds => Advice::RoutePattern,
            Kind::Epoch(_) | Kind::DateTime | Kind::Date => Advice::GaugeValue,
            Kind::Email | Kind::Phone | Kind::SparseIntegers => Advice::Logs,
            Kind::ErrorText | Kind::StackTrace => Advice::ErrorClass,
            Kind::Sql => Advice::StatementName,
            Kind::Floats => Advice::FixExposition,
            Kind::DenseIntegers | Kind::Integers | Kind::Ordinal | Kind::Path | Kind::Boolean | Kind::Enum | Kind::Endpoint => {
                Advice::Nothing
            }
            Kind::Bounds | Kind::Words | Kind::Text | Kind::Empty => Advice::Nothing,
        }
    }

    /// Values that should not be shown whole: they name a person, or let somebody in.
    pub fn is_private(self) -> bool {
        matches!(self, Kind::Email | Kind::Phone | Kind::Token)
    }
}

impl Advice {
    pub fn text(self) -> &'static str {
        match self {
            Advice::RemoveLabel => "remove the label in the code; put the id in a log line or an exemplar",
            Advice::Exemplar => "remove the label; attach it as an exemplar",
            Advice::InfoMetric => "keep it on one `_info` metric only, and join it in queries",
            Advice::StripSuffix => "keep the name of the workload only; the target's own labels tell the pod",
            Advice::NodeOrPod => "the target's own labels tell node and pod; drop it, or keep the network only",
            Advice::Client => "never count by client address; drop it, or keep the country or network",
            Advice::CutPort => "cut the port: clients get a new one for each connection",
            Advice::RoutePattern => "use the route's pattern (`r.Pattern` since Go 1.22), not the path",
            Advice::GaugeValue => "make the time the value of a gauge",
            Advice::Logs => "leave it to logs; where a split is needed, hash it into a few buckets",
            Advice::ErrorClass => "use a class of errors (`errors.Is`), not the text",
            Advice::StatementName => "use the name of the statement, or its operation and table",
            Advice::FixExposition => "numbers measured do not belong into labels; bounds should be written in one form",
            Advice::OneSpelling => "spell each value in one way",
            Advice::Nothing => "",
        }
    }
}
