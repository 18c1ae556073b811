package server

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"plague"
	"plague/internal/wire"
)

// What a builder says of its machine counts as far as it can be.
func TestMachineOf(t *testing.T) {
	honest := plague.Machine{Memory: 16 << 30, FreeMemory: 3 << 30, FreeDisk: 70 << 30, Load: 0.5, Labels: []string{"big", "ssd"}}
	report := func(m plague.Machine) plague.Report {
		return plague.Report{Memory: m.Memory, FreeMemory: m.FreeMemory, Free: m.FreeDisk, Load: m.Load, Labels: m.Labels}
	}
	if got := machineOf(report(honest)); !reflect.DeepEqual(got, honest) {
		t.Errorf("an honest one: %+v", got)
	}
	if got := machineOf(plague.Report{Free: 5}); !reflect.DeepEqual(got, plague.Machine{FreeDisk: 5}) {
		t.Errorf("one of an older version: %+v", got)
	}
	many := []string{"ssd", "SSD", "a b", "../x", "", "ssd"}
	for i := range 100 {
		many = append(many, fmt.Sprint("l", i))
	}
	for _, m := range []plague.Machine{
		{Memory: -1, FreeMemory: 5, FreeDisk: -5, Load: -1, Labels: many},
		{Memory: math.MaxInt64, FreeMemory: math.MaxInt64, FreeDisk: math.MaxInt64, Load: math.NaN(), Labels: many},
		{Load: math.Inf(1), Labels: many},
	} {
		got := machineOf(report(m))
		labels := got.Labels
		got.Labels = nil
		if !reflect.DeepEqual(got, plague.Machine{}) {
			t.Errorf("%+v became %+v", m, got)
		}
		if len(labels) > wire.MaxLabels || !slices.Contains(labels, "ssd") || slices.ContainsFunc(labels, func(l string) bool { return plague.ValidLabel(l) != nil }) {
			t.Errorf("labels became %q", labels)
		}
	}
	m := honest
	m.FreeMemory, m.Load, m.FreeDisk = 1, 9, m.FreeDisk+diskStep/2
	if !reflect.DeepEqual(forPlans(m), forPlans(honest)) {
		t.Errorf("the planner hears of %+v and of %+v", forPlans(m), forPlans(honest))
	}
}
