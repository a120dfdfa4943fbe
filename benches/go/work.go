package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/trace"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// work serves requests that each take a lock, hand something to a worker, start a goroutine and set a timer: what a service does
// in ~30 us of CPU time. Lines on stdin: "trace FILE" and "stop" for runtime/trace.
func work() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	type job struct {
		data []byte
		done chan [32]byte
	}
	jobs := make(chan job)
	for i := 0; i < 4; i++ {
		go func() {
			for job := range jobs {
				job.done <- sha256.Sum256(job.data)
			}
		}()
	}
	var mutex sync.Mutex
	served := 0
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		mutex.Lock()
		served++
		mutex.Unlock()
		done := make(chan [32]byte, 1)
		jobs <- job{make([]byte, 4<<10), done}
		sum := <-done
		told := make(chan byte, 1)
		go func() { told <- sum[0] }()
		timer := time.NewTimer(time.Second)
		select {
		case b := <-told:
			fmt.Fprintf(w, "%d\n", b)
		case <-timer.C:
		}
		timer.Stop()
	})
	go func() { panic(http.Serve(listener, nil)) }()
	fmt.Println("ready", listener.Addr())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		words := strings.Fields(in.Text())
		switch {
		case len(words) == 2 && words[0] == "trace":
			file, err := os.Create(words[1])
			if err == nil {
				err = trace.Start(file)
			}
			fmt.Println("trace", err)
		default:
			trace.Stop()
			fmt.Println("stopped")
		}
	}
}

// client asks RATE times a second over CONNS connections, whatever the answers take. A line on stdin is answered with the requests
// since the last one, and their median, 99th percentile and longest time in microseconds, from when each was due.
func client() {
	address := os.Args[2]
	rate, _ := strconv.Atoi(os.Args[3])
	conns, _ := strconv.Atoi(os.Args[4])
	var mutex sync.Mutex
	var took []time.Duration
	var failed int64
	start := time.Now()
	period := time.Second * time.Duration(conns) / time.Duration(rate)
	for i := 0; i < conns; i++ {
		go func(i int) {
			transport := &http.Transport{MaxIdleConnsPerHost: 1}
			http := &http.Client{Transport: transport}
			due := start.Add(period * time.Duration(i) / time.Duration(conns))
			for ; ; due = due.Add(period) {
				time.Sleep(time.Until(due))
				answer, err := http.Get("http://" + address + "/")
				if err != nil {
					atomic.AddInt64(&failed, 1)
					continue
				}
				answer.Body.Read(make([]byte, 16))
				answer.Body.Close()
				mutex.Lock()
				took = append(took, time.Since(due))
				mutex.Unlock()
			}
		}(i)
	}
	fmt.Println("ready -")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		mutex.Lock()
		all := took
		took = nil
		mutex.Unlock()
		sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
		at := func(q float64) int64 {
			if len(all) == 0 {
				return 0
			}
			return all[int(q*float64(len(all)-1))].Microseconds()
		}
		fmt.Println(len(all), at(0.5), at(0.99), at(1), atomic.SwapInt64(&failed, 0))
	}
}
