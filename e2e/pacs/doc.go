// Package pacs puts real imaging software on hosts of the lab: Orthanc as PACS server, dcmtk's
// storescu as modality, and Debian's python3-pydicom as source of images and as the witness
// that reads and hashes them. It imports e2e/lab and nothing of the product.
package pacs
