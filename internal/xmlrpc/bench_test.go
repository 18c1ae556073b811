package xmlrpc

import (
	"context"
	"net/http/httptest"
	"testing"
)

type submission struct {
	Package, Source, SRPM string
	Size                  int64
	Target                string
	After                 int64
	Scratch               bool
	Priority              int
}

func aSubmission() submission {
	return submission{
		Package: "ethtool", Source: "ethtool-1.8-4.src.rpm", Size: 123456, Target: "fedora-development-extras",
		SRPM: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	}
}

// BenchmarkSmallCall is the codec's part of one submission at both ends: the
// call and its answer, each from struct to bytes and back.
func BenchmarkSmallCall(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		body, err := encodeCall("submit", []any{aSubmission()})
		if err != nil {
			b.Fatal(err)
		}
		c, err := decodeCall(body, defaultLimits())
		if err != nil {
			b.Fatal(err)
		}
		var s submission
		if err := Unmarshal(c.params[0], &s); err != nil || s != aSubmission() {
			b.Fatal(s, err)
		}
		answer := encoder{buf: []byte(responseBegin)}
		if err := answer.value(s, 0); err != nil {
			b.Fatal(err)
		}
		answer.raw(responseEnd)
		v, _, err := decodeResponse(answer.buf, defaultLimits())
		if err == nil {
			err = Unmarshal(v, &s)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecodeCall is what the server does of it: bytes to struct.
func BenchmarkDecodeCall(b *testing.B) {
	body, err := encodeCall("submit", []any{aSubmission()})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		c, err := decodeCall(body, defaultLimits())
		if err != nil {
			b.Fatal(err)
		}
		var s submission
		if err := Unmarshal(c.params[0], &s); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEcho2000 sends 2,000 structs over loopback and takes them back.
func BenchmarkEcho2000(b *testing.B) {
	echo := Method{Name: "echo", Func: func(_ context.Context, params []any) (any, error) { return params[0], nil }}
	s := httptest.NewServer(NewHandler([]Method{echo}, Options{}))
	defer s.Close()
	c := &Client{URL: s.URL}
	list := make([]submission, 2000)
	for i := range list {
		list[i] = aSubmission()
	}
	b.ReportAllocs()
	for b.Loop() {
		v, err := c.Call(b.Context(), "echo", list)
		var back []submission
		if err == nil {
			err = Unmarshal(v, &back)
		}
		if err != nil || len(back) != len(list) {
			b.Fatal(len(back), err)
		}
	}
}
