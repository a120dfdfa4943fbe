// Writes the /metrics body that `cardinality` is measured with, and the same gzipped: the same bytes each time.
//
//	body FILE [SERIES]
//
// A million series (118 MB) as a platform team gets them from one bad endpoint: 60 % are the buckets of HTTP histograms whose path
// holds an id, 30 % counters and gauges with four to six labels, the rest summaries and metrics without HELP and TYPE.
package main

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
)

type body struct {
	*bufio.Writer
	random *rand.Rand
}

type label struct{ name, value string }

func main() {
	series := 1_000_000
	if len(os.Args) > 2 {
		var err error
		if series, err = strconv.Atoi(os.Args[2]); err != nil {
			log.Fatal(err)
		}
	}
	if len(os.Args) < 2 {
		log.Fatal("usage: body FILE [SERIES]")
	}
	if err := write(os.Args[1], series); err != nil {
		log.Fatal(err)
	}
}

func write(path string, series int) error {
	plain, err := os.Create(path)
	if err != nil {
		return err
	}
	defer plain.Close()
	packed, err := os.Create(path + ".gz")
	if err != nil {
		return err
	}
	defer packed.Close()
	zip := gzip.NewWriter(packed)
	b := body{bufio.NewWriterSize(io.MultiWriter(plain, zip), 1<<20), rand.New(rand.NewPCG(1, 2))}

	left := series - b.histograms(series*60/100) - b.simple(series*30/100, true) - b.summaries(series*7/100)
	b.simple(left, false)
	if err := b.Flush(); err != nil {
		return err
	}
	return zip.Close()
}

var (
	methods = []string{"GET", "POST", "PUT", "DELETE", "PATCH"}
	codes   = []string{"200", "201", "204", "301", "400", "401", "404", "409", "429", "500", "502", "503"}
	zones   = []string{"eu-1a", "eu-1b", "eu-1c", "us-2a", "us-2b"}
	teams   = []string{"payments", "checkout", "search", "identity", "catalog", "billing", "shipping", "media"}
	routes  = []string{"/v1/users/%s", "/v1/orders/%s/items", "/v2/carts/%s", "/files/%s", "/accounts/%s"}
	layouts = [][]string{
		{"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10"},
		{"100", "1000", "10000", "100000", "1e+06"},
		{"0.005", "0.025", "0.05", "0.1", "0.2", "0.4", "0.6", "0.8", "1", "1.25", "1.5", "2", "3", "4", "5", "6", "8", "10", "15", "20", "30", "45", "60"},
	}
)

// histograms writes about as many series and says how many.
func (b body) histograms(series int) int {
	families := []struct {
		name   string
		share  int
		layout []string
		path   func(child int) string
	}{
		{"http_request_seconds", 35, layouts[0], rawPath},
		{"http_request_bytes", 10, layouts[1], rawPath},
		{"gateway_upstream_seconds", 15, layouts[2], rawPath},
		{"http_client_seconds", 40, layouts[0], shortPath},
	}
	written := 0
	for _, family := range families {
		each := len(family.layout) + 3
		b.head(family.name, "histogram", "How long requests took, or how big they were.")
		for child := range series * family.share / 100 / each {
			b.histogram(family.name, []label{
				{"code", codes[child%len(codes)]},
				{"instance", "w" + strconv.Itoa(child%40)},
				{"method", methods[child%3]},
				{"path", family.path(child)},
			}, family.layout)
			written += each
		}
	}
	return written
}

// rawPath holds an id that lives through a few requests: two children have the same path.
func rawPath(child int) string {
	return fmt.Sprintf(routes[child/2%len(routes)], uuid(child/2))
}

func shortPath(child int) string {
	return "/" + suffix(child/30, 8)
}

func (b body) histogram(name string, labels []label, layout []string) {
	shared := join(labels)
	// Half of the children have seen one request.
	events, count := 1, 0
	if b.random.IntN(2) == 0 {
		events += int(b.random.ExpFloat64() * 300)
	}
	for _, bound := range layout {
		count += b.random.IntN(events - count + 1)
		fmt.Fprintf(b, "%s_bucket{%s,le=\"%s\"} %d\n", name, shared, bound, count)
	}
	fmt.Fprintf(b, "%s_bucket{%s,le=\"+Inf\"} %d\n", name, shared, events)
	fmt.Fprintf(b, "%s_sum{%s} %s\n", name, shared, float(b.random.ExpFloat64()*float64(events)))
	fmt.Fprintf(b, "%s_count{%s} %d\n", name, shared, events)
}

// simple writes counters and gauges; untyped they have neither HELP nor TYPE.
func (b body) simple(series int, typed bool) int {
	nouns := []string{"requests", "jobs", "messages", "connections", "retries", "cache_hits", "bytes_sent", "rows", "locks", "errors"}
	parts := []string{"worker", "proxy", "store", "queue"}
	const children = 1250
	for family := 0; family*children < series; family++ {
		team, noun := teams[family%len(teams)], nouns[family/32%len(nouns)]
		name := team + "_" + parts[family/8%len(parts)] + "_" + noun
		counter := family%3 != 0
		switch {
		case !typed:
			name = "legacy_" + name
		case counter:
			name += "_total"
			b.head(name, "counter", "Total number of "+noun+".")
		default:
			b.head(name, "gauge", "Current number of "+noun+".")
		}
		for child := range min(children, series-family*children) {
			pod := child / 10
			labels := []label{{"code", codes[child%10]}, {"job", teams[pod%len(teams)]}}
			if family%2 == 0 {
				labels = append(labels, label{"node", "node-" + strconv.Itoa(pod)})
			}
			labels = append(labels, label{"pod", team + "-" + suffix(family, 8) + "-" + suffix(pod, 5)})
			if family%4 == 0 {
				labels = append(labels, label{"tenant", strconv.Itoa(pod % 50)})
			}
			labels = append(labels, label{"zone", zones[pod%len(zones)]})
			value := float(b.random.NormFloat64() * 1e3)
			if counter {
				value = strconv.Itoa(int(b.random.ExpFloat64() * 1e6))
			}
			fmt.Fprintf(b, "%s{%s} %s\n", name, join(labels), value)
		}
	}
	return series
}

func (b body) summaries(series int) int {
	const name = "rpc_seconds"
	b.head(name, "summary", "RPC latency distributions.")
	children := series / 5
	for child := range children {
		labels := join([]label{
			{"instance", fmt.Sprintf("10.1.%d.%d", child/200%250, child%200)},
			{"method", "Get" + suffix(child%60, 6)},
			{"service", teams[child%len(teams)] + ".v1"},
			{"session", strconv.Itoa(100_000 + child)},
		})
		for _, quantile := range []string{"0.5", "0.9", "0.99"} {
			fmt.Fprintf(b, "%s{%s,quantile=\"%s\"} %s\n", name, labels, quantile, float(b.random.ExpFloat64()))
		}
		fmt.Fprintf(b, "%s_sum{%s} %s\n", name, labels, float(b.random.ExpFloat64()*100))
		fmt.Fprintf(b, "%s_count{%s} %d\n", name, labels, 1+b.random.IntN(1000))
	}
	return 5 * children
}

func (b body) head(name, kind, help string) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func join(labels []label) string {
	var out strings.Builder
	for i, l := range labels {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(l.name + `="` + l.value + `"`)
	}
	return out.String()
}

func float(value float64) string {
	return strconv.FormatFloat(value, 'g', 12, 64)
}

// uuid is of version 4, the same for the same number.
func uuid(n int) string {
	random := rand.New(rand.NewPCG(uint64(n), 3))
	high, low := random.Uint64(), random.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", high>>32, high>>16&0xffff, high&0xfff, 0x8000|low>>48&0x3fff, low&0xffff_ffff_ffff)
}

// suffix is what Kubernetes puts behind the name of a ReplicaSet or pod.
func suffix(n, length int) string {
	const alphabet = "bcdfghjklmnpqrstvwxz2456789"
	random := rand.New(rand.NewPCG(uint64(n), uint64(length)))
	out := make([]byte, length)
	for i := range out {
		out[i] = alphabet[random.IntN(len(alphabet))]
	}
	return string(out)
}
