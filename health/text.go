package health

import "fmt"

// MarshalText returns the status's name: what is written down must not depend
// on the order of our constants.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name of a status.
func (s *Status) UnmarshalText(text []byte) error {
	parsed, ok := ParseStatus(string(text))
	if !ok {
		return fmt.Errorf("%q is not a status", text)
	}
	*s = parsed
	return nil
}

// MarshalText returns the cause's name; it is empty for none.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads the name of a cause.
func (c *Cause) UnmarshalText(text []byte) error {
	parsed, ok := ParseCause(string(text))
	if !ok {
		return fmt.Errorf("%q is not a cause", text)
	}
	*c = parsed
	return nil
}
