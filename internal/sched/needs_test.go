package sched

import (
	"time"

	"plague"

	"pgregory.net/rapid"
)

func drawNeeds(t *rapid.T) plague.Needs {
	return plague.Needs{
		Labels: rapid.SampledFrom([][]string{nil, nil, {"ssd"}, {"big", "ssd"}}).Draw(t, "needed labels"),
		Memory: int64(rapid.IntRange(0, 2).Draw(t, "needed memory")),
		Disk:   int64(rapid.IntRange(0, 1).Draw(t, "needed disk")),
	}
}

func drawMachine(t *rapid.T) plague.Machine {
	return plague.Machine{
		Labels:   rapid.SampledFrom([][]string{nil, {"ssd"}, {"big", "ssd"}}).Draw(t, "labels"),
		Memory:   rapid.SampledFrom([]int64{0, 1, 2, 2 << 30, 16691 << 20, 64 << 30}).Draw(t, "memory"),
		FreeDisk: rapid.SampledFrom([]int64{0, 1, 8 << 30, 90 << 30}).Draw(t, "disk"),
	}
}

func drawLearned(t *rapid.T) plague.Learned {
	return plague.Learned{
		Took:   rapid.SampledFrom([]time.Duration{0, 5 * time.Second, 2 * time.Minute, time.Hour, 30 * time.Hour}).Draw(t, "took"),
		Memory: rapid.SampledFrom([]int64{0, 0, 100 << 20, 3 << 30, 40 << 30}).Draw(t, "used memory"),
		Disk:   rapid.SampledFrom([]int64{0, 0, 5 << 30, 80 << 30}).Draw(t, "used disk"),
	}
}
