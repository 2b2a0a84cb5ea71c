mod itanium;
mod loading;
mod numbers;
mod symbols;
