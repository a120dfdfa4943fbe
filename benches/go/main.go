// The programs that `make bench` looks at, one a mode:
//
//	subject idle         waits
//	subject server N     N parked goroutines beside a HTTP server on a loopback port
//	subject work         a HTTP server whose requests use the scheduler as a service's do
//	subject client ADDRESS RATE CONNS
//	subject spin N       N parked goroutines beside one that watches the clock all the time
//
// Each prints "ready ADDRESS" and lives until the end of stdin. In spin mode a line on stdin is answered with the longest time,
// in nanoseconds, for which the spinning goroutine did not run since the last answer.
package main

import (
	"bufio"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"
)

// ballast makes the executable as large as a big service's when the benchmark puts a file there.
//
//go:embed ballast
var ballast embed.FS

var never = make(chan int)

func main() {
	switch os.Args[1] {
	case "work":
		work()
		return
	case "client":
		client()
		return
	}
	n := 0
	if len(os.Args) > 2 {
		n, _ = strconv.Atoi(os.Args[2])
	}
	for i := 0; i < n; i++ {
		go down(6)
	}
	runtime.GC()
	address := "-"
	var longest int64
	switch os.Args[1] {
	case "server":
		address = serve()
	case "spin":
		go spin(&longest)
	}
	fmt.Println("ready", address)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		fmt.Println(atomic.SwapInt64(&longest, 0))
	}
	runtime.KeepAlive(ballast)
}

//go:noinline
func down(n int) {
	if n == 0 {
		<-never
		return
	}
	down(n - 1)
}

func spin(longest *int64) {
	last := time.Now()
	for {
		now := time.Now()
		if gap := int64(now.Sub(last)); gap > atomic.LoadInt64(longest) {
			atomic.StoreInt64(longest, gap)
		}
		last = now
	}
}

func serve() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, 16<<10)
		sum := sha256.Sum256(body)
		json.NewEncoder(w).Encode(map[string]any{"path": r.URL.Path, "sum": sum[:], "tags": []string{"a", "b", "c"}})
	})
	go func() { panic(http.Serve(listener, nil)) }()
	return listener.Addr().String()
}
