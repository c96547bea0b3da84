"""The support vector machine of Dhall et al. 2011 and its features."""
