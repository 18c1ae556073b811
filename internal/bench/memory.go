package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
)

const memoryHistory = 100_000

// memory measures the processes of a farm with a history, after some lists and
// builds. PSS shares what processes have in common among them; RSS counts it
// for each.
func (b *Bench) memory(ctx context.Context) ([]Figure, error) {
	var figures []Figure
	err := b.with(ctx, Shape{Builders: 1, History: memoryHistory}, func(f *Farm) error {
		if _, err := f.waits(ctx, 20); err != nil {
			return err
		}
		if _, err := f.pages(ctx, "SQLite", memoryHistory+23); err != nil {
			return err
		}
		for _, part := range []struct{ name, aim, peers string }{
			{"server", "pss 100", "OBS 190, Koji 220, Buildbot 95"}, {"builder", "pss 25", "26"},
		} {
			value, err := sizes(f.Processes()[part.name])
			if err != nil {
				return err
			}
			figures = append(figures, Figure{What: fmt.Sprintf("memory of the %s, %s jobs in the database", part.name, thousands(memoryHistory)),
				Value: value, Unit: "MB", Aim: part.aim, Peers: part.peers})
		}
		return nil
	})
	return figures, err
}

// sizes adds up the memory of processes, in MB of 1,000,000 bytes.
func sizes(pids []int) (map[string]float64, error) {
	value := map[string]float64{"processes": float64(len(pids))}
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(bytes.NewReader(text))
		for lines.Scan() {
			name, rest, _ := strings.Cut(lines.Text(), ":")
			key := map[string]string{"Pss": "pss", "Rss": "rss"}[name]
			var kib float64
			if _, err := fmt.Sscanf(rest, "%f kB", &kib); key != "" && err == nil {
				value[key] += kib * 1024 / 1e6
			}
		}
	}
	return value, nil
}
