package builder

import (
	"fmt"
	"os"

	"plague"
	"plague/internal/sandbox"
)

// MachineWith asks this machine what it has: what cannot be asked is not known.
func MachineWith(labels []string) func() plague.Machine {
	return func() plague.Machine {
		m := plague.Machine{Labels: labels}
		m.Memory, m.FreeMemory = sandbox.Memory()
		if data, err := os.ReadFile("/proc/loadavg"); err == nil {
			_, _ = fmt.Sscan(string(data), &m.Load)
		}
		return m
	}
}
