package cli

import (
	"fmt"
	"strings"

	"plague"
	"plague/internal/wire"
)

// machineText says what a builder's machine has, as far as it is known.
func machineText(b wire.BuilderRecord) string {
	var parts []string
	if b.Memory > 0 {
		parts = append(parts, fmt.Sprintf("%s of memory, %s of it free", plague.Size(b.Memory), plague.Size(b.FreeMemory)))
	}
	if b.FreeDisk > 0 {
		parts = append(parts, plague.Size(b.FreeDisk)+" of disk free")
	}
	if b.Memory > 0 { // who says one says the other, and 0 is a load
		parts = append(parts, fmt.Sprintf("load %.2f", b.Load))
	}
	return strings.Join(parts, ", ")
}

// usedText says what an attempt used, if that was measured.
func usedText(u plague.Usage) string {
	if u.Memory == 0 {
		return ""
	}
	of := "of memory"
	if u.Meter == plague.MeterProcess {
		of += " (its largest process)"
	}
	return fmt.Sprintf(", used %s %s, %s of disk", plague.Size(u.Memory), of, plague.Size(u.Disk))
}
