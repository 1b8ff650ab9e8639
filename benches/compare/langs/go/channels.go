package main

import "sync/atomic"

// batch is how many operations lie between two looks at the clock.
const batch = 64

// pingPong lets pairs of goroutines exchange a ball over two channels with room for one.
//
// Every pair looks at the clock: the scheduler has the one that was just woken run next, so that a pair keeps its
// processor for a time slice while the others wait.
func pingPong(pairs int) {
	var over atomic.Bool
	begin := make(chan struct{})
	counts := make(chan int, pairs)
	var meter Meter
	for pair := 0; pair < pairs; pair++ {
		there, back := make(chan uint64, 1), make(chan uint64, 1)
		go func() {
			for ball := range there {
				back <- ball
			}
			close(back)
		}()
		go func() {
			<-begin
			count := 0
			for !over.Load() {
				there <- 1
				<-back
				count++
				if count%batch == 0 && meter.isOver() {
					over.Store(true)
				}
			}
			close(there)
			counts <- count
		}()
	}
	meter = startMeter()
	close(begin)
	total := 0
	for pair := 0; pair < pairs; pair++ {
		total += <-counts
	}
	meter.stop(total)
}

// pipeline sends numbers through stages that pass them on; an operation is a hop, and between two looks at the clock leave
// many more than a channel has room for.
func pipeline(room, stages, numbers int) {
	first := make(chan uint64, room)
	last := first
	for i := 0; i < stages; i++ {
		from, to := last, make(chan uint64, room)
		go func() {
			for number := range from {
				to <- number + 1
			}
			close(to)
		}()
		last = to
	}
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case first <- 0:
			case <-stop:
				close(first)
				return
			}
		}
	}()
	receive := func() int {
		for i := 0; i < numbers; i++ {
			if <-last != uint64(stages) {
				panic("a stage was left out")
			}
		}
		return numbers * (stages + 1)
	}
	repeat(receive)
	close(stop)
}

func filter(prime uint64, from <-chan uint64, to chan<- uint64) {
	for number := range from {
		if number%prime != 0 {
			to <- number
		}
	}
	close(to)
}

// primes finds all primes up to a limit; an operation is a message.
func primes(count, limit, messages, room int) {
	repeat(func() int {
		from := make(chan uint64, room)
		go func() {
			for number := 2; number <= limit; number++ {
				from <- uint64(number)
			}
			close(from)
		}()
		found := 0
		current := from
		for {
			prime, open := <-current
			if !open {
				break
			}
			found++
			next := make(chan uint64, room)
			go filter(prime, current, next)
			current = next
		}
		if found != count {
			panic("a prime was lost")
		}
		return messages
	})
}

func skynet(to chan<- uint64, number, leaves uint64) {
	if leaves == 1 {
		to <- number
		return
	}
	from := make(chan uint64, 10)
	for i := uint64(0); i < 10; i++ {
		go skynet(from, number+i*(leaves/10), leaves/10)
	}
	var sum uint64
	for i := 0; i < 10; i++ {
		sum += <-from
	}
	to <- sum
}

// skynets sums the numbers of all leaves of a tree of goroutines; an operation is a leaf.
func skynets(leaves int) {
	repeat(func() int {
		root := make(chan uint64, 1)
		go skynet(root, 0, uint64(leaves))
		if <-root != uint64(leaves)*uint64(leaves-1)/2 {
			panic("a leaf was lost")
		}
		return leaves
	})
}

func produce(to chan<- uint64, over *atomic.Bool) {
	for number := uint64(0); !over.Load(); number++ {
		to <- number
	}
}

// fanInSelect receives from several channels with select; its cases are written down, so there are three programs.
func fanInSelect(producers int) {
	var over atomic.Bool
	from := make([]chan uint64, 8)
	for i := 0; i < producers; i++ {
		from[i] = make(chan uint64, 16)
		go produce(from[i], &over)
	}
	a, b, c, d, e, f, g, h := from[0], from[1], from[2], from[3], from[4], from[5], from[6], from[7]
	receive := map[int]func(){
		2: func() {
			select {
			case <-a:
			case <-b:
			}
		},
		4: func() {
			select {
			case <-a:
			case <-b:
			case <-c:
			case <-d:
			}
		},
		8: func() {
			select {
			case <-a:
			case <-b:
			case <-c:
			case <-d:
			case <-e:
			case <-f:
			case <-g:
			case <-h:
			}
		},
	}[producers]
	repeat(func() int {
		for i := 0; i < batch; i++ {
			receive()
		}
		return batch
	})
	over.Store(true)
}

// fanInMerged receives from one channel that all send to.
func fanInMerged(producers int) {
	var over atomic.Bool
	from := make(chan uint64, 16)
	for i := 0; i < producers; i++ {
		go produce(from, &over)
	}
	repeat(func() int {
		for i := 0; i < batch; i++ {
			<-from
		}
		return batch
	})
	over.Store(true)
}

// generators takes a value of one goroutine after the other, each through a channel without room.
func generators(alive int) {
	values := make([]chan int, alive)
	for i := range values {
		out := make(chan int)
		values[i] = out
		go func() {
			for n := 1; ; n++ {
				out <- n
			}
		}()
	}
	rounds := (1000 + alive - 1) / alive
	repeat(func() int {
		for round := 0; round < rounds; round++ {
			for _, value := range values {
				<-value
			}
		}
		return rounds * alive
	})
}
