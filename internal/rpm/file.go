package rpm

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
)

const leadSize = 96

// Tags of the signature header, from rpm's rpmtag.h.
const (
	sigDSA      = 267
	sigRSA      = 268
	sigSHA1     = 269
	sigLongSize = 270
	sigSHA256   = 273
	sigOpenPGP  = 278
	sigSize     = 1000
	sigPGP      = 1002
	sigGPG      = 1005
)

var (
	signatureTags  = []uint32{sigDSA, sigRSA, sigOpenPGP, sigPGP, sigGPG}
	signatureRules = []rule{
		{sigSHA1, shapeText, 1}, {sigSHA256, shapeText, 1},
		{sigSize, shapeNumber, 1}, {sigLongSize, shapeNumber, 1},
	}
)

// ReadHeader reads an RPM file up to its payload, and no further: lead,
// signature header and main header, whose digest (SHA-256, of old files SHA-1)
// is compared if the file has one. It is made for hostile input: it sets memory
// aside for what has arrived, 80 MiB at most. Errors about the content are
// ErrNotRPM.
func ReadHeader(r io.Reader) (*Header, error) {
	in := &input{r: r}
	source, err := in.lead()
	if err != nil {
		return nil, err
	}
	signature, err := in.section(signatureLimit)
	if err != nil {
		return nil, err
	}
	if err := signature.checkShapes(signatureRules); err != nil {
		return nil, err
	}
	padding := int(-in.at & 7) // the main header begins at a multiple of eight
	if _, err := in.take(padding, "padding"); err != nil {
		return nil, err
	}
	begin := in.at
	main, err := in.section(mainLimit)
	if err != nil {
		return nil, err
	}
	if err := checkDigest(signature, main); err != nil {
		return nil, err
	}
	main.index = nil // its entries are kept
	h, err := newHeader(source, signature, main)
	if err != nil {
		return nil, err
	}
	h.PayloadOffset = in.at
	return h, h.expect(signature, in.at-begin)
}

// expect notes how long the payload has to be: the signature header holds the
// size of the main header and the payload together.
func (h *Header) expect(signature *section, mainSize int64) error {
	h.payloadSize = -1
	size, ok := signature.number(sigLongSize, sigSize)
	if !ok {
		return nil
	}
	if size>>62 != 0 || int64(size) < mainSize {
		return damaged("the signature header gives the impossible size %d", size)
	}
	h.payloadSize = int64(size) - mainSize
	return nil
}

// Verify reads a whole RPM file and compares the payload's length and SHA-256
// with what the header says, so that a truncated or damaged file is refused.
// The payload is neither kept nor unpacked. Errors about the content are
// ErrNotRPM.
func Verify(r io.Reader) (*Header, error) {
	h, err := ReadHeader(r)
	if err != nil {
		return nil, err
	}
	const sha256Algorithm = 8 // PGPHASHALGO_SHA256
	switch {
	case h.PayloadDigest != "" && h.algorithm != sha256Algorithm:
		return nil, damaged("its payload digest is of the unknown algorithm %d", h.algorithm)
	case h.PayloadDigest == "" && h.payloadSize < 0:
		return nil, damaged("it has neither the size nor a digest of its payload")
	}
	payload := r
	if h.payloadSize >= 0 {
		payload = io.LimitReader(r, h.payloadSize+1) // one more shows that there is more
	}
	sum := sha256.New()
	n, err := io.Copy(sum, payload)
	switch {
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("read the payload of %s: %w", h.nevra, err)
	case h.payloadSize >= 0 && n < h.payloadSize:
		return nil, truncated(h.PayloadOffset+n, "payload", h.PayloadOffset+h.payloadSize)
	case h.payloadSize >= 0 && n > h.payloadSize:
		return nil, damaged("it goes on behind its payload of %d bytes", h.payloadSize)
	case h.PayloadDigest != "" && hex.EncodeToString(sum.Sum(nil)) != h.PayloadDigest:
		return nil, damaged("the SHA-256 of its payload is %x, and should be %s", sum.Sum(nil), h.PayloadDigest)
	}
	return h, nil
}

// checkDigest compares the main header with the best digest there is.
func checkDigest(signature, main *section) error {
	digests := []struct {
		tag  uint32
		name string
		hash func() hash.Hash
	}{
		{sigSHA256, "SHA-256", sha256.New},
		{sigSHA1, "SHA-1", sha1.New}, // all that rpm before 4.14 wrote
	}
	for _, d := range digests {
		if !signature.has(d.tag) {
			continue
		}
		sum := d.hash()
		for _, part := range [][]byte{main.intro[:], main.index, main.data} {
			sum.Write(part)
		}
		if want := signature.text(d.tag); !strings.EqualFold(hex.EncodeToString(sum.Sum(nil)), want) {
			return damaged("the %s of the main header is %x, and should be %s", d.name, sum.Sum(nil), quote(want))
		}
		return nil
	}
	return nil
}

// An input counts what it reads.
type input struct {
	r  io.Reader
	at int64
}

// lead reads the first 96 bytes, of which only the magic number and the type
// still mean anything.
func (in *input) lead() (source bool, err error) {
	lead := make([]byte, leadSize)
	n, err := io.ReadFull(in.r, lead)
	in.at = int64(n)
	magic := []byte{0xed, 0xab, 0xee, 0xdb}
	switch {
	case err != nil && err != io.EOF && err != io.ErrUnexpectedEOF:
		return false, fmt.Errorf("read the lead: %w", err)
	case n == 0:
		return false, &formatError{text: "not an RPM file: it is empty"}
	case !bytes.HasPrefix(lead[:n], magic[:min(n, len(magic))]):
		return false, &formatError{text: fmt.Sprintf("not an RPM file: it starts with %q", lead[:min(n, 8)])}
	case n < leadSize:
		return false, truncated(in.at, "lead", leadSize)
	}
	const headerSignature = 5
	major, kind, signature := lead[4], binary.BigEndian.Uint16(lead[6:]), binary.BigEndian.Uint16(lead[78:])
	if major < 3 || major > 4 || kind > 1 || signature != headerSignature {
		return false, damaged("its lead has format %d, type %d and signature type %d", major, kind, signature)
	}
	return kind == 1, nil
}

// section reads one header: what it asks for is checked against the limits
// before its index is read, and the index before its data is.
func (in *input) section(l limit) (*section, error) {
	s := &section{limit: l}
	intro, err := in.take(introSize, l.what)
	if err != nil {
		return nil, err
	}
	copy(s.intro[:], intro)
	if !bytes.HasPrefix(intro, []byte{0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0}) {
		return nil, damaged("no %s where it should begin, but %x", l.what, intro[:8])
	}
	entries, size := binary.BigEndian.Uint32(intro[8:]), binary.BigEndian.Uint32(intro[12:])
	if entries == 0 || entries > l.entries || size < trailerSize || size > l.data {
		return nil, damaged("the %s wants %d entries (1 to %d) and %d bytes of data (%d to %d)",
			l.what, entries, l.entries, size, trailerSize, l.data)
	}
	if s.index, err = in.take(int(entries)*entrySize, l.what); err != nil {
		return nil, err
	}
	if err := s.checkIndex(size); err != nil {
		return nil, err
	}
	if s.data, err = in.take(int(size), l.what); err != nil {
		return nil, err
	}
	return s, s.checkData()
}

// take reads n bytes. A claim above 1 MiB gets its memory once the first MiB
// has arrived, so that a few bytes cannot ask for much.
func (in *input) take(n int, where string) ([]byte, error) {
	const trust = 1 << 20
	end := in.at + int64(n)
	p := make([]byte, min(n, trust))
	if err := in.fill(p, where, end); err != nil || n <= trust {
		return p, err
	}
	all := make([]byte, n)
	copy(all, p)
	return all, in.fill(all[trust:], where, end)
}

func (in *input) fill(p []byte, where string, end int64) error {
	n, err := io.ReadFull(in.r, p)
	in.at += int64(n)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return truncated(in.at, where, end)
	}
	if err != nil {
		return fmt.Errorf("read the %s: %w", where, err)
	}
	return nil
}

func truncated(at int64, where string, end int64) error {
	return &formatError{text: fmt.Sprintf("truncated: the file ends after %d bytes, in its %s, which goes on to %d", at, where, end)}
}
