package main

import (
	"sync"
	"time"
)

// sleeps lets a number of goroutines sleep at once.
func sleeps(count int, duration time.Duration) {
	meter := startMeter()
	var group sync.WaitGroup
	for i := 0; i < count; i++ {
		group.Add(1)
		go func() {
			time.Sleep(duration)
			group.Done()
		}()
	}
	group.Wait()
	meter.stop(count)
}

func sum(terms int) uint64 {
	x, total := uint64(1), uint64(0)
	for i := 0; i < terms; i++ {
		x = (x*1103515245 + 12345) & 0x7fffffff
		total += x
	}
	return total
}

// sums computes a number of sums in a goroutine each.
func sums(count, terms int) {
	meter := startMeter()
	results := make(chan uint64, count)
	for i := 0; i < count; i++ {
		go func() { results <- sum(terms) }()
	}
	first := <-results
	for i := 1; i < count; i++ {
		if <-results != first {
			panic("equal sums differ")
		}
	}
	meter.stop(count)
}
