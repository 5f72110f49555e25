// What the pages have a reader do in a browser, by name.
