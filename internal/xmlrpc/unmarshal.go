package xmlrpc

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"
)

// Unmarshal reads a decoded value into what into points to, the way back from
// Marshal. Types must agree and numbers fit. Members that the Go type does not
// have are read over, so that a newer peer may send more; fields that the
// value does not have are left as they are. The error names the place, such
// as "orders.attempts[3].arch: want string, got int".
func Unmarshal(value any, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("unmarshal into %T: want a pointer", into)
	}
	err := newMapper().fill(value, v.Elem())
	if err == nil {
		return nil
	}
	root := "value"
	if t := v.Type().Elem(); t.Kind() == reflect.Struct && t.Name() != "" {
		root = snake(t.Name())
	}
	return within(root, err)
}

func (m mapper) fill(value any, into reflect.Value) error {
	switch into.Type() {
	case timeType:
		return set(value, "time", func(t time.Time) error { into.Set(reflect.ValueOf(t)); return nil })
	case durationType:
		return set(value, "int", func(n int) error { return setDuration(int64(n), into) })
	}
	switch into.Kind() {
	case reflect.Bool:
		return set(value, "boolean", func(b bool) error { into.SetBool(b); return nil })
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return set(value, "int", func(n int) error { return setInt(int64(n), into) })
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return set(value, "int", func(n int) error { return setUint(int64(n), into) })
	case reflect.Float32, reflect.Float64:
		return set(value, "double", func(f float64) error { into.SetFloat(f); return nil })
	case reflect.String:
		return set(value, "string", func(s string) error { into.SetString(s); return nil })
	case reflect.Pointer:
		return m.pointer(value, into)
	case reflect.Interface:
		return assign(value, into)
	case reflect.Slice:
		if into.Type().Elem().Kind() == reflect.Uint8 {
			return set(value, "base64", func(b []byte) error { into.SetBytes(b); return nil })
		}
		return set(value, "array", func(list []any) error { return m.slice(list, into) })
	case reflect.Map:
		return set(value, "struct", func(s map[string]any) error { return m.mapping(s, into) })
	case reflect.Struct:
		return set(value, "struct", func(s map[string]any) error { return m.structure(s, into) })
	}
	return fmt.Errorf("XML-RPC has no word for a %s", into.Type())
}

// set hands the value on if it is of the type that is wanted.
func set[T any](value any, want string, do func(T) error) error {
	v, ok := value.(T)
	if !ok {
		return fmt.Errorf("want %s, got %s", want, typeName(value))
	}
	return do(v)
}

func typeName(value any) string {
	switch value.(type) {
	case nil:
		return "nil"
	case bool:
		return "boolean"
	case float64:
		return "double"
	case time.Time:
		return "time"
	case []byte:
		return "base64"
	case []any:
		return "array"
	case map[string]any:
		return "struct"
	}
	return fmt.Sprintf("%T", value) // int and string are called so in both worlds
}

func setInt(n int64, into reflect.Value) error {
	if into.OverflowInt(n) {
		return fmt.Errorf("%d does not fit into %s", n, into.Kind())
	}
	into.SetInt(n)
	return nil
}

func setUint(n int64, into reflect.Value) error {
	if n < 0 || into.OverflowUint(uint64(n)) {
		return fmt.Errorf("%d does not fit into %s", n, into.Kind())
	}
	into.SetUint(uint64(n))
	return nil
}

func setDuration(micros int64, into reflect.Value) error {
	d := time.Duration(micros) * time.Microsecond
	if d.Microseconds() != micros {
		return fmt.Errorf("%d microseconds do not fit into a duration", micros)
	}
	into.SetInt(int64(d))
	return nil
}

func assign(value any, into reflect.Value) error {
	if into.NumMethod() > 0 {
		return errors.New("XML-RPC has no word for a " + into.Type().String())
	}
	if value == nil {
		into.SetZero()
	} else {
		into.Set(reflect.ValueOf(value))
	}
	return nil
}

func (m mapper) pointer(value any, into reflect.Value) error {
	if value == nil {
		into.SetZero()
		return nil
	}
	if into.IsNil() {
		into.Set(reflect.New(into.Type().Elem()))
	}
	return m.fill(value, into.Elem())
}

func (m mapper) slice(list []any, into reflect.Value) error {
	s := reflect.MakeSlice(into.Type(), len(list), len(list))
	for i, v := range list {
		if err := m.fill(v, s.Index(i)); err != nil {
			return within("["+strconv.Itoa(i)+"]", err)
		}
	}
	into.Set(s)
	return nil
}

func (m mapper) mapping(members map[string]any, into reflect.Value) error {
	t := into.Type()
	if t.Key().Kind() != reflect.String {
		return fmt.Errorf("XML-RPC has no word for a %s: keys must be strings", t)
	}
	filled := reflect.MakeMapWithSize(t, len(members))
	for name, v := range members {
		elem := reflect.New(t.Elem()).Elem()
		if err := m.fill(v, elem); err != nil {
			return within("."+name, err)
		}
		filled.SetMapIndex(reflect.ValueOf(name).Convert(t.Key()), elem)
	}
	into.Set(filled)
	return nil
}

func (m mapper) structure(members map[string]any, into reflect.Value) error {
	fields, err := m.fields(into.Type())
	if err != nil {
		return err
	}
	for _, f := range fields {
		v, ok := members[f.name]
		if !ok {
			continue
		}
		if err := m.fill(v, into.FieldByIndex(f.index)); err != nil {
			return within("."+f.name, err)
		}
	}
	return nil
}
