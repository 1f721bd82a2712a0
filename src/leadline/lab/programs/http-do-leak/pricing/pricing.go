// Package pricing asks the price service.
package pricing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// ErrNotJSON says that the price service answered with something else.
var ErrNotJSON = errors.New("pricing: the answer is not JSON")

// Client asks one price service.
type Client struct {
	base string
	http *http.Client
}

// New makes a client.
func New(base string) *Client { return &Client{base, &http.Client{Transport: &http.Transport{}}} }

// Quote returns the price of one item.
func (c *Client) Quote(ctx context.Context, item int) (price float64, err error) {
	request, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("%s/price/%d", c.base, item), nil)
	if err != nil {
		return 0, err
	}
	response, err := c.http.Do(request) // want: caller
	if err != nil {
		return 0, err
	}
	if response.Header.Get("Content-Type") != "application/json" {
		return 0, ErrNotJSON
	}
	defer response.Body.Close()
	err = json.NewDecoder(response.Body).Decode(&price)
	return price, err
}
