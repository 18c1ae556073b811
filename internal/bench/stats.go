package bench

import (
	"slices"
	"time"
)

// quantile gives the value that the share q of all does not exceed.
func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// spread is what a figure says of many times: milliseconds. The least is what a
// busy machine would come to if it were idle, about.
func spread(all []time.Duration) map[string]float64 {
	return map[string]float64{"least": ms(quantile(all, 0)), "p50": ms(quantile(all, 0.5)), "p99": ms(quantile(all, 0.99)), "n": float64(len(all))}
}
