module grayling

go 1.18
