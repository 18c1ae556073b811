package xmlrpc

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

type (
	phase   string
	number  int64
	attempt struct {
		ArchJob number
		Number  int
		Token   string
	}
	report struct {
		attempt // the outer struct has its members
		Phase   phase
		EndedAt time.Time
		Failure *failure
	}
	failure struct{ Message string }
	orders  struct {
		Farm     string
		Wait     time.Duration
		SRPMSize uint64
		RPMs     []string
		Attempts []report          `xmlrpc:"list"`
		Macros   map[string]string `xmlrpc:",omitempty"`
		Digest   []byte
		Ratio    float64
		Small    int8
		Any      any
		Names    map[phase]bool
		Secret   string `xmlrpc:"-"`
		Note     *string
		hidden   int
	}
)

func fullOrders() orders {
	note := ""
	return orders{
		Farm: "f", Wait: 1500 * time.Microsecond, SRPMSize: math.MaxInt64, RPMs: []string{"a", "b"},
		Attempts: []report{{attempt{7, 1, "t"}, "done", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), &failure{"m"}}},
		Macros:   map[string]string{"dist": ".fc4"}, Digest: []byte{0, 255}, Ratio: 0.5, Small: -128, Any: []any{1, "x"},
		Names: map[phase]bool{"building": true}, Secret: "s", Note: &note, hidden: 1,
	}
}

func TestMarshal(t *testing.T) {
	got, err := Marshal(fullOrders())
	want := map[string]any{
		"farm": "f", "wait": 1500, "srpm_size": math.MaxInt64, "rpms": []any{"a", "b"},
		"list": []any{map[string]any{
			"arch_job": 7, "number": 1, "token": "t", "phase": "done",
			"ended_at": time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "failure": map[string]any{"message": "m"},
		}},
		"macros": map[string]any{"dist": ".fc4"}, "digest": []byte{0, 255}, "ratio": 0.5, "small": -128, "any": []any{1, "x"},
		"names": map[string]any{"building": true}, "note": "",
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, %v\nwant %#v", got, err, want)
	}
	got, err = Marshal(&orders{Attempts: []report{{}}})
	want = map[string]any{
		"farm": "", "wait": 0, "srpm_size": 0, "rpms": []any{}, "digest": []byte(nil), "ratio": 0.0, "small": 0, "names": map[string]any{},
		"list": []any{map[string]any{"arch_job": 0, "number": 0, "token": "", "phase": "", "ended_at": time.Time{}}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("zero: got %#v, %v\nwant %#v", got, err, want)
	}
}

func TestMarshalRefuses(t *testing.T) {
	type loop struct{ Next *loop }
	endless := &loop{}
	endless.Next = endless
	type twice struct {
		A int `xmlrpc:"x"`
		B int `xmlrpc:"x"`
	}
	type embedding struct{ *failure }
	tests := []struct {
		v    any
		want string
	}{
		{map[string]any{"list": []any{1, uint64(math.MaxUint64)}}, "list[1]: 18446744073709551615 is too large"},
		{map[int]string{1: "a"}, "keys must be strings"},
		{[]any{make(chan int)}, "[0]: XML-RPC has no word for a chan int"},
		{twice{}, `two members "x"`},
		{embedding{}, "embeds a pointer"},
		{endless, "without end"},
	}
	for _, tt := range tests {
		if got, err := Marshal(tt.v); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%T: got %v, %v, want an error with %q", tt.v, got, err, tt.want)
		}
	}
}

func TestUnmarshalRoundTrip(t *testing.T) {
	want := fullOrders()
	e := encoder{}
	e.raw(responseBegin)
	if err := e.value(want, 0); err != nil {
		t.Fatal(err)
	}
	e.raw(responseEnd)
	v, _, err := decodeResponse(e.buf, defaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	got := orders{Secret: "s", hidden: 1} // what does not travel is left as it is
	if err := Unmarshal(v, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

func TestUnmarshalLenient(t *testing.T) {
	got := orders{Farm: "kept", Small: 3}
	err := Unmarshal(map[string]any{"small": 4, "added_in_2030": []any{1}}, &got)
	if want := (orders{Farm: "kept", Small: 4}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	note := "x"
	withNote := orders{Note: &note}
	if err := Unmarshal(map[string]any{"note": nil}, &withNote); err != nil || withNote.Note != nil {
		t.Errorf("nil for a pointer: got %v, %v", withNote.Note, err)
	}
	var any any = 1
	if err := Unmarshal(nil, &any); err != nil || any != nil {
		t.Errorf("nil for anything: got %v, %v", any, err)
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	attempts := func(v any) any { return map[string]any{"list": []any{map[string]any{}, v}} }
	tests := []struct {
		value any
		want  string
	}{
		{1, "orders: want struct, got int"},
		{nil, "orders: want struct, got nil"},
		{map[string]any{"farm": 1}, "orders.farm: want string, got int"},
		{map[string]any{"farm": nil}, "orders.farm: want string, got nil"},
		{map[string]any{"digest": "x"}, "orders.digest: want base64, got string"},
		{map[string]any{"ratio": 1}, "orders.ratio: want double, got int"},
		{map[string]any{"small": 128}, "orders.small: 128 does not fit into int8"},
		{map[string]any{"srpm_size": -1}, "orders.srpm_size: -1 does not fit into uint64"},
		{map[string]any{"wait": math.MaxInt64}, "orders.wait: 9223372036854775807 microseconds do not fit into a duration"},
		{map[string]any{"rpms": "x"}, "orders.rpms: want array, got string"},
		{map[string]any{"rpms": []any{"x", true}}, "orders.rpms[1]: want string, got boolean"},
		{map[string]any{"macros": map[string]any{"dist": 1.5}}, "orders.macros.dist: want string, got double"},
		{map[string]any{"names": []any{}}, "orders.names: want struct, got array"},
		{attempts(map[string]any{"arch_job": "7"}), "orders.list[1].arch_job: want int, got string"},
		{attempts(map[string]any{"ended_at": "today"}), "orders.list[1].ended_at: want time, got string"},
		{attempts(map[string]any{"ended_at": []byte{}}), "orders.list[1].ended_at: want time, got base64"},
		{attempts(map[string]any{"failure": time.Time{}}), "orders.list[1].failure: want struct, got time"},
	}
	for _, tt := range tests {
		var o orders
		if err := Unmarshal(tt.value, &o); err == nil || err.Error() != tt.want {
			t.Errorf("%v: got error %v, want %q", tt.value, err, tt.want)
		}
	}
	var list []int
	if err := Unmarshal([]any{1, "a"}, &list); err == nil || err.Error() != "value[1]: want int, got string" {
		t.Errorf("list: got error %v", err)
	}
	if err := Unmarshal(1, orders{}); err == nil {
		t.Error("no pointer: got no error")
	}
}

func TestSnake(t *testing.T) {
	for name, want := range map[string]string{
		"UID": "uid", "Uid": "uid", "BuilderAddr": "builder_addr", "SRPMSize": "srpm_size", "RPMs": "rpms", "ArchJob": "arch_job",
		"QueuedAt": "queued_at", "ParentUid": "parent_uid", "ID": "id", "JobIDs": "job_ids", "A": "a", "NumSlots": "num_slots", "Sha256Sum": "sha256_sum",
	} {
		if got := snake(name); got != want {
			t.Errorf("snake(%q) = %q, want %q", name, got, want)
		}
	}
}
