package xmlrpc

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"
)

// Marshal turns a Go value into one that the codec knows. Structs become
// map[string]any: a field's name is in its tag `xmlrpc:"name"`, or it is the
// Go name in snake_case; `,omitempty` leaves empty ones out, and a nil pointer
// is always left out. Embedded structs are members of the outer one. A
// time.Duration becomes an int of microseconds; a time.Time loses what is
// below a second on the wire. Slices and maps that are nil become empty ones.
// The error names the place.
func Marshal(v any) (any, error) { return marshal(v, 0) }

func marshal(v any, depth int) (any, error) {
	return newMapper().plain(reflect.ValueOf(v), depth)
}

func (m mapper) plain(v reflect.Value, depth int) (any, error) {
	if !v.IsValid() {
		return nil, nil
	}
	if depth > defaultLimits().depth {
		return nil, errTooDeep
	}
	switch v.Type() {
	case timeType:
		return v.Interface(), nil
	case durationType:
		return int(v.Interface().(time.Duration).Microseconds()), nil
	}
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return int(v.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if v.Uint() > math.MaxInt64 {
			return nil, fmt.Errorf("%d is too large", v.Uint())
		}
		return int(v.Uint()), nil
	case reflect.Float32, reflect.Float64:
		return v.Float(), nil
	case reflect.String:
		return v.String(), nil
	case reflect.Pointer, reflect.Interface:
		return m.plain(v.Elem(), depth+1)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return v.Bytes(), nil
		}
		return m.list(v, depth)
	case reflect.Map:
		return m.dictionary(v, depth)
	case reflect.Struct:
		return m.members(v, depth)
	}
	return nil, fmt.Errorf("XML-RPC has no word for a %s", v.Type())
}

func (m mapper) list(v reflect.Value, depth int) (any, error) {
	list := make([]any, v.Len())
	for i := range list {
		var err error
		if list[i], err = m.plain(v.Index(i), depth+1); err != nil {
			return nil, within("["+strconv.Itoa(i)+"]", err)
		}
	}
	return list, nil
}

func (m mapper) dictionary(v reflect.Value, depth int) (any, error) {
	if v.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("XML-RPC has no word for a %s: keys must be strings", v.Type())
	}
	members := make(map[string]any, v.Len())
	for it := v.MapRange(); it.Next(); {
		key := it.Key().String()
		plain, err := m.plain(it.Value(), depth+1)
		if err != nil {
			return nil, within("."+key, err)
		}
		members[key] = plain
	}
	return members, nil
}

func (m mapper) members(v reflect.Value, depth int) (any, error) {
	fields, err := m.fields(v.Type())
	if err != nil {
		return nil, err
	}
	members := make(map[string]any, len(fields))
	for _, f := range fields {
		fv := v.FieldByIndex(f.index)
		if isNil(fv) || f.omitEmpty && isEmpty(fv) {
			continue
		}
		plain, err := m.plain(fv, depth+1)
		if err != nil {
			return nil, within("."+f.name, err)
		}
		members[f.name] = plain
	}
	return members, nil
}

func isNil(v reflect.Value) bool {
	return (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) && v.IsNil()
}

func isEmpty(v reflect.Value) bool {
	if v.Kind() == reflect.Slice || v.Kind() == reflect.Map {
		return v.Len() == 0
	}
	return v.IsZero()
}
