package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"plague"
)

// Digest is the SHA-256 of a file's content, and its name.
type Digest [sha256.Size]byte

// String is the digest as 64 lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ParseDigest reads what String wrote and nothing else: one content has one name.
// Anything else is plague.ErrInvalid.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) != hex.EncodedLen(len(d)) || strings.ToLower(s) != s {
		return Digest{}, notADigest(s)
	}
	if _, err := hex.Decode(d[:], []byte(s)); err != nil {
		return Digest{}, notADigest(s)
	}
	return d, nil
}

func notADigest(s string) error {
	return fmt.Errorf("%.70q is not a SHA-256 of 64 lower-case hexadecimal digits: %w", s, plague.ErrInvalid)
}
