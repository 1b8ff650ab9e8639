// The workloads of the comparison in Go.
//
//	load WORKLOAD POINT MILLISECONDS [MORE]
//
// prints operations, nanoseconds of wall time and nanoseconds of CPU time; and of some, the median and the 99th percentile
// of the latency.
package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// Meter is a window of time over this process.
type Meter struct {
	start time.Time
	cpu   int64
	width time.Duration
}

var width time.Duration

func cpuTime() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func startMeter() Meter {
	return Meter{start: time.Now(), cpu: cpuTime(), width: width}
}

func (meter Meter) isOver() bool {
	return time.Since(meter.start) >= meter.width
}

func (meter Meter) stop(ops int) {
	wall := time.Since(meter.start)
	fmt.Println(ops, wall.Nanoseconds(), cpuTime()-meter.cpu)
}

// repeat runs batches until the window is over; one batch before is not measured.
func repeat(batch func() int) {
	batch()
	meter := startMeter()
	ops := 0
	for {
		ops += batch()
		if meter.isOver() {
			meter.stop(ops)
			return
		}
	}
}

func argument(place int) int {
	value, err := strconv.Atoi(os.Args[place])
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	at := argument(2)
	width = time.Duration(argument(3)) * time.Millisecond
	switch os.Args[1] {
	case "sleeps":
		sleeps(at, time.Duration(argument(4))*time.Millisecond)
	case "sums":
		sums(at, argument(4))
	case "ping-pong":
		pingPong(at)
	case "pipeline":
		pipeline(at, argument(4), argument(5))
	case "sieve":
		primes(at, argument(4), argument(5), argument(6))
	case "skynet":
		skynets(at)
	case "select":
		fanInSelect(at)
	case "merge":
		fanInMerged(at)
	case "generator":
		generators(at)
	case "timeouts":
		timeouts(at)
	case "alarms":
		alarms(at, time.Duration(argument(4))*time.Millisecond)
	default:
		panic("no workload " + os.Args[1])
	}
}
