package main

import (
	"fmt"
	"sort"
	"time"
)

// random is a small generator: timers shall not wait in order.
type random uint64

func (state *random) below(limit uint64) uint64 {
	x := uint64(*state)
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	*state = random(x)
	return x % limit
}

// someTime is 10 s to 70 s: longer than any measurement.
func (state *random) someTime() time.Duration {
	return 10*time.Second + time.Duration(state.below(uint64(60*time.Second)))
}

// timeouts arms and stops a timer while others are armed.
func timeouts(live int) {
	state := random(1)
	others := make([]*time.Timer, live)
	for i := range others {
		others[i] = time.AfterFunc(state.someTime(), func() {})
	}
	repeat(func() int {
		for i := 0; i < batch; i++ {
			time.AfterFunc(state.someTime(), func() {}).Stop()
		}
		return batch
	})
}

// alarms lets goroutines sleep until moments that are spread over a time.
func alarms(count int, spread time.Duration) {
	meter := startMeter()
	base := time.Now().Add(spread)
	late := make(chan time.Duration, count)
	for i := 0; i < count; i++ {
		deadline := base.Add(spread * time.Duration(i*61803%count) / time.Duration(count))
		go func() {
			time.Sleep(time.Until(deadline))
			late <- time.Since(deadline)
		}()
	}
	latencies := make([]int, count)
	for i := range latencies {
		latencies[i] = int(<-late)
	}
	meter.stop(count)
	sort.Ints(latencies)
	fmt.Println(latencies[count/2], latencies[count*99/100])
}
